-- lib/express_taking: what a ticket needs is taken from a record, as lib/taking has it, and told as text.

local shape = record.shape
local layout, needs = shape.layout, shape.needs
if not layout then
    layout = ""
    for s = 2, #shape, 5 do
        local first, kind = s == 2 and "\t%s\t" or "\t\t", string.format("%d", shape[s])
        layout = layout .. first .. kind .. (shape[s] >= 200 and "\t0\t%d" or "\t%d\t0")
    end
    shape.layout = layout
end
for n = 1, #needs do
    local kind, rate, units = shape[5 * n - 3], shape[5 * n - 2], needs[n]
    if kind >= 200 then
        record[2 * n + 2] = record[2 * n + 2] + units
    else
        record[2 * n + 1] = record[2 * n + 1] - units
        local refill_ms = floor(units / rate)
        refill_ms = refill_ms * rate < units and refill_ms + 1 or refill_ms
        spacing = kind % 100 < 10 and refill_ms > spacing and refill_ms or spacing
    end
    local share = floor(units / rate * 1000)
    cost = share > cost and share or cost
end
charges = charges .. string.format(layout, record.field, unpack(needs))
record.is_changed, is_counted = true, is_counted or shape[1] > 0
