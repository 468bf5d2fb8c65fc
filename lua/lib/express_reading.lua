-- lib/express_reading: the records that are wanted and not read yet.

do
    local texts
    if wanted == read + 1 then
        texts = redis.call("HMGET", KEYS[1], "limits|" .. fields[wanted], "buckets|" .. fields[wanted])
    else
        local names = { false, false, false, false, false, false, false, false }
        for r = read + 1, wanted do
            local n = 2 * (r - read)
            names[n - 1], names[n] = "limits|" .. fields[r], "buckets|" .. fields[r]
        end
        texts = redis.call("HMGET", KEYS[1], unpack(names, 1, 2 * (wanted - read)))
    end
    for r = read + 1, wanted do
        local n = 2 * (r - read)
        local limits, text = texts[n - 1], texts[n]
        if limits then
            if limits ~= shape_text then
                local count = #limits / 8
                shape_text, layout = limits, string.sub(LONGS, 1, #text / 8)
                shape = { struct.unpack(string.sub(LONGS, 1, count), limits) }
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
    read = wanted
end
