-- lib/express_records: the buckets of a step that lib/express takes, refilled as lib/bucket has it.
--
-- A record is a text of lib/records decoded, [pause_until, at, then per bucket level and held], with its limits
-- decoded beside it as `shape`, [concurrency, then per bucket kind, rate, capacity, unit, most].

do
    local names, shapes = {}, {}   -- fields of KEYS[1]; text of limits -> shape: domains with equal limits share it
    for i = 1, #wanted do
        names[2 * i - 1], names[2 * i] = "limits|" .. wanted[i], "buckets|" .. wanted[i]
    end
    local read = redis.call("HMGET", KEYS[1], unpack(names))
    for i = 1, #wanted do
        local text = read[2 * i - 1]
        if text then
            local shape = shapes[text]
            if not shape then
                shape = cjson.decode(text)
                shapes[text] = shape
            end
            local record = cjson.decode(read[2 * i])
            local at, b = record[2], 3
            record.slots = string.sub(wanted[i], -2) == "|*" and shape[1] or 0
            if has_crowd == 1 then
                record.before = cjson.decode(read[2 * i])
            end
            for s = 2, #shape, 5 do
                local kind, ticks = shape[s], now - at
                if kind >= 1000 then
                    return nil     -- a provider that counts windows
                elseif kind % 100 > 10 then
                    ticks = floor(now / 1440) - floor(at / 1440)
                end
                if ticks > 0 then
                    local level, capacity = record[b] + shape[s + 1] * ticks, shape[s + 2]
                    record[b] = level < capacity and level or capacity
                end
                b = b + 2
            end
            record.shape, record.field, records[wanted[i]] = shape, wanted[i], record
        end
    end
end
