-- lib/express_needs: what a ticket takes from each bucket with these limits, and what must be there, as lib/charge has it.

asked = limits
local n = 3
for s = 2, #limits, 5 do
    local kind, capacity, unit = limits[s], limits[s + 2], limits[s + 3]
    local code, produced, stake = kind % 10, output, 0
    if kind >= 200 then
        produced, stake = predicted, cold == 1 and floor(capacity / 2) or 0
    end
    local units = (code == 1 and 1 or code == 2 and input or code == 3 and produced or input + produced) * unit
    if kind >= 200 then
        local most = cold == 1 and floor(capacity / 8) or capacity
        units = units < most and units or most
    elseif units > capacity or units > limits[s + 4] * unit then
        return nil                 -- it waits for a full bucket, or can never go
    end
    needs[n], needs[n + 1], n = units, units + stake, n + 2
end
