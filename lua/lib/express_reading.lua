-- lib/express_reading: the records that are wanted and not read yet.

do
    local texts
    if wanted == read + 3 then
        local field = places[wanted]
        texts = redis.call("HMGET", KEYS[1], "limits|" .. field, "buckets|" .. field)
    else
        local names = { false, false, false, false, false, false, false, false }
        local n = 0
        for r = read + 1, wanted, 3 do
            local field = places[r + 2]
            names[n + 1], names[n + 2], n = "limits|" .. field, "buckets|" .. field, n + 2
        end
        texts = redis.call("HMGET", KEYS[1], unpack(names, 1, n))
    end
    local n = 0
    for r = read + 1, wanted, 3 do
        local limits, text = texts[n + 1], texts[n + 2]
        n = n + 2
        if limits then
            if limits ~= shape_text then
                local count = #limits / 8
                shape_text, layout = limits, string.sub(LONGS, 1, #text / 8)
                shape = { struct.unpack(string.sub(LONGS, 1, count), limits) }
                shape[count + 1] = nil
            end
            local level = { struct.unpack(layout, text) }
            local ticks, b = now - level[2], 3
            for s = 2, #shape, 5 do
                local kind, full, refilled = shape[s], shape[s + 2], level[b] + shape[s + 1] * ticks
                if kind >= 1000 then
                    return nil         -- a provider that counts windows
                elseif kind % 100 > 10 then            -- of a day
                    refilled = level[b] + shape[s + 1] * (floor(now / 1440) - floor(level[2] / 1440))
                end
                level[b] = refilled < full and refilled or full
                b = b + 2
            end
            places[r], places[r + 1] = shape, level
            if before then
                before[r] = { struct.unpack(layout, text) }
            end
        end
    end
    read = wanted
end
