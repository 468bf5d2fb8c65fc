-- lib/express_save: what a step that lib/express takes has changed is written, as lib/save has it.

out[1], out[2] = "meta", struct.pack("lllll", fence, seq, now, lease_clock, presence) .. kept
if keyset or pushed_at > 0 or presence - seen_at >= 100 then       -- as lib/caller has it
    out[last + 1], last = opening, last + 2
    out[last] = struct.pack("lllllll", presence, pushed_at > 0 and now or 0, 0, lease_clock, due, highest, beaten)
end
for r = 1, wanted, 3 do
    local limits, level = places[r], places[r + 1]
    if limits and not level[2] then
        if before then
            --@include lib/express_index
        end
        if limits ~= shape then
            shape, layout = limits, string.sub(LONGS, 1, (#limits - 1) / 5 * 2 + 2)
        end
        level[2] = now
        out[last + 1], out[last + 2], last = "buckets|" .. places[r + 2], struct.pack(layout, unpack(level)), last + 2
    end
end
if answers then
    for topic, known in pairs(answers) do
        if known.is_changed then
            local text = struct.pack("llll", known[1], known[2], known[3] or 0, known[4] or 0)
            out[last + 1], out[last + 2], last = "output|" .. topic, text, last + 2
        end
    end
end
redis.call("HSET", KEYS[1], unpack(out, 1, last))
if gone then
    local generation, ended = KEYS[5 + floor(now / 60000) % 2], gone[2] and {}
    if ended then
        for n = 1, #gone do
            ended[2 * n - 1], ended[2 * n] = gone[n], "s"
        end
        redis.call("HSET", generation, unpack(ended))
    else
        redis.call("HSET", generation, gone[1], "s")
    end
    redis.call("HDEL", KEYS[2], unpack(gone))
    if is_watched then
        redis.call("ZREM", KEYS[4], unpack(gone))
    end
end
if left and left[1] then
    redis.call("ZREM", KEYS[3], unpack(left))
end
if live then
    redis.call("HSET", KEYS[2], unpack(live))
end
if joined and joined[1] then
    redis.call("ZADD", KEYS[3], unpack(joined))
end
