-- lib/express_needs: what a ticket takes from each bucket with these limits, and what must stay there: at the places
-- that level and held have in a record. As lib/charge has it.

shape.asked_by, shape.needs = i, shape.needs or { 0, 0 }
for s = 2, #shape, 5 do
    local kind, capacity, unit, b = shape[s], shape[s + 2], shape[s + 3], (s - 2) / 5 * 2 + 3
    local code, produced, stake = kind % 10, output, 0
    if kind >= 200 then
        produced, stake = predicted, cold == 1 and floor(capacity / 2) or 0
    end
    local units = (code == 1 and 1 or code == 2 and input or code == 3 and produced or input + produced) * unit
    if kind >= 200 then
        units = math.min(units, cold == 1 and floor(capacity / 8) or capacity)
    elseif units > capacity or units > shape[s + 4] * unit then
        return nil                 -- it waits for a full bucket, or can never go
    end
    shape.needs[b], shape.needs[b + 1] = units, stake
end
