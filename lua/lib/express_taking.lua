-- lib/express_taking: what a ticket needs is taken from a record, as lib/taking has it, and told as text.

local level, field, b = places[r + 1], places[r + 2], 3
if limits ~= asked then
    --@include lib/express_needs
end
for s = 2, #limits, 5 do
    local kind, rate, units = limits[s], limits[s + 1], needs[b]
    if kind >= 200 then
        level[b + 1] = level[b + 1] + units
        charges = charges .. struct.pack(CHARGE, field, kind, 0, units)
    else
        level[b] = level[b] - units
        charges = charges .. struct.pack(CHARGE, field, kind, units, 0)
        if kind % 100 < 10 then
            local refill_ms = floor(units / rate)
            refill_ms = refill_ms * rate < units and refill_ms + 1 or refill_ms
            spacing = refill_ms > spacing and refill_ms or spacing
        end
    end
    local share = floor(units / rate * 1000)
    cost, b, field = share > cost and share or cost, b + 2, ""
end
level[2], is_counted = false, is_counted or limits[1] > 0
