-- lib/express_needs: what a ticket takes from each bucket with these limits, and what must stay there, as lib/charge
-- has it. Of the nth bucket limits begin at 5n - 3; its level and hold are at 2n + 1 and 2n + 2 of a record.

shape.asked_by, shape.needs, shape.stakes = i, shape.needs or {}, shape.stakes or {}
for n = 1, (#shape - 1) / 5 do
    local kind, capacity, unit = shape[5 * n - 3], shape[5 * n - 1], shape[5 * n]
    local code, produced, stake = kind % 10, output, 0
    if kind >= 200 then
        produced, stake = predicted, cold == 1 and floor(capacity / 2) or 0
    end
    local units = (code == 1 and 1 or code == 2 and input or code == 3 and produced or input + produced) * unit
    if kind >= 200 then
        units = math.min(units, cold == 1 and floor(capacity / 8) or capacity)
    elseif units > capacity or units > shape[5 * n + 1] * unit then
        return nil                 -- it waits for a full bucket, or can never go
    end
    shape.needs[n], shape.stakes[n] = units, stake
end
