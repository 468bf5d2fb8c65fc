-- lib/express_save: what a step that lib/express takes has changed is written, as lib/save has it.

do
    local at = #written
    written[at + 1], written[at + 2] = "meta", string.format('["%s","%s",%d,%d,%d,%d,%d,%d,%d,%d,%d,%d]', epoch,
        predecessor, fence, seq, offset, now, lease_clock, presence, ttl, touched, expires,
        has_crowd)
    written[at + 3], written[at + 4] = "process|" .. ARGV[1], string.format("[%d,%d,0,%d,%d,%d]", presence,
        process[2] > 0 and now or 0, lease_clock, process[5], process[6])
    for i = 1, #wanted do
        local record = records[wanted[i]]
        if record and record.is_changed then
            local layout = "[%d,%d" .. string.rep(",%d,%d", #record / 2 - 1) .. "]"
            if has_crowd == 1 then
                --@include lib/express_index
            end
            record[2], at = now, #written
            written[at + 1], written[at + 2] = "buckets|" .. wanted[i], string.format(layout, unpack(record))
        end
    end
    for topic, known in pairs(answers) do
        if known.is_changed then
            at = #written
            written[at + 1], written[at + 2] = "output|" .. topic, string.format("[%d,%d,%d,%d]", known[1], known[2],
                known[3] or 0, known[4] or 0)
        end
    end
    redis.call("HSET", KEYS[1], unpack(written))
    if #gone > 0 then
        redis.call("HDEL", KEYS[2], unpack(gone))
        redis.call("HSET", KEYS[5 + floor(now / 60000) % 2], unpack(ended))
        redis.call("ZREM", KEYS[4], unpack(gone))
    end
    if #left > 0 then
        redis.call("ZREM", KEYS[3], unpack(left))
    end
    if keys then
        redis.call("HSET", KEYS[2], unpack(live))
    end
    if #joined > 0 then
        redis.call("ZADD", KEYS[3], unpack(joined))
    end
end
