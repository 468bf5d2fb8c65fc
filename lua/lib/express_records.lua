-- lib/express_records: the buckets of a step that lib/express takes, refilled as lib/bucket has it.
--
-- Per place the numbers of a record of lib/records: of its levels, {pause_until, at or false where they have changed, then
-- per bucket level and hold, and one more}; of its limits, {concurrency, then per bucket kind, rate, capacity, unit, most}.

local levels, shapes = { false, false, false, false }, { false, false, false, false }  -- shapes: false where there are no limits
local before = has_crowd == 1 and {}           -- where a pool has a crowd, the levels as they were
local shape, layout            -- the limits of the last record, and how its levels are packed
do
    local names, last, is_plain = { false, false, false, false, false, false, false, false }, nil, true
    for r = 1, wanted do
        names[2 * r - 1], names[2 * r] = "limits|" .. fields[r], "buckets|" .. fields[r]
    end
    local read = redis.call("HMGET", KEYS[1], unpack(names, 1, 2 * wanted))
    for r = 1, wanted do
        local limits, text = read[2 * r - 1], read[2 * r]
        if limits then
            if limits ~= last then
                local count = #limits / 8
                last, layout, shape = limits, string.rep("l", #text / 8), { struct.unpack(string.rep("l", count), limits) }
                shape[count + 1], is_plain = nil, true
                for s = 2, count, 5 do
                    if shape[s] >= 1000 then
                        return nil -- a provider that counts windows
                    end
                    is_plain = is_plain and shape[s] % 100 < 10
                end
            end
            local level = { struct.unpack(layout, text) }
            local ticks, b = now - level[2], 3
            for s = 2, ticks > 0 and #shape or 0, 5 do
                local full, refilled = shape[s + 2], level[b] + shape[s + 1] * ticks
                if not is_plain and shape[s] % 100 > 10 then           -- of a day
                    refilled = level[b] + shape[s + 1] * (floor(now / 1440) - floor(level[2] / 1440))
                end
                level[b] = refilled < full and refilled or full
                b = b + 2
            end
            levels[r], shapes[r] = level, shape
            if before then
                before[r] = { struct.unpack(layout, text) }
            end
        end
    end
end
