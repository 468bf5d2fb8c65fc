-- lib/save: all that a call changed is written at its end; nothing is decided any more.

local save, touch
do
    local TOUCH_MS = 1000
    local POOL_TTL_MS = 2592000000         -- 30 days: limits, and levels of day limits

    local function encode_record(record)
        local out = {}
        for i, bucket in ipairs(record.buckets) do
            out[i] = string.format(",%d,%d", level_and_idle(bucket), bucket.held)
        end
        return string.format("[%d,%d%s]", record.pause_until, pool.now, table.concat(out))
    end

    local function save_records()
        local fields = {}
        local function put(field, text)
            fields[#fields + 1] = field
            fields[#fields + 1] = text
        end
        put("meta", string.format('["%s","%s",%d,%d,%d,%d,%d,%d,%d,%d,%d]', pool.epoch, pool.predecessor, pool.fence,
            pool.seq, pool.offset, pool.seen, pool.lease, pool.presence, pool.ttl, pool.touched, pool.expires))
        if pool.queues_changed then
            put("queues", encode_queues())
        end
        if pool.parked_changed then
            put("parked", #pool.parked > 0 and '["' .. table.concat(pool.parked, '","') .. '"]' or "[]")
        end
        for field, record in pairs(records) do
            if record and record.dirty then
                put("buckets|" .. field, encode_record(record))
            end
        end
        for id, process in pairs(processes) do
            if process and process.dirty then
                put("process|" .. id, string.format("[%d,%d,%d,%d]", unpack(process)))
            end
        end
        put_outputs(put)
        put_ratios(put)
        for _, text in ipairs(placed) do
            fields[#fields + 1] = text
        end
        add("HSET", KEYS[1], fields)
        remove("HDEL", KEYS[1], dropped)
    end

    local function save_tickets()
        local live, over = {}, {}
        for id in pairs(touched) do
            local ticket = tickets[id]
            if ticket.state == "q" or ticket.state == "g" then
                live[#live + 1] = id
                live[#live + 1] = ticket.state == "q" and encode_queued(ticket) or encode_lease(ticket)
            elseif not ticket.is_fresh then
                over[#over + 1] = id
            end
        end
        add("HSET", KEYS[2], live)
        remove("HDEL", KEYS[2], over)
        add("HSET", generation(0), ended)
        add("ZADD", KEYS[3], joined)
        remove("ZREM", KEYS[3], left)
        add("ZADD", KEYS[4], renewed)
        remove("ZREM", KEYS[4], freed)
    end

    -- Every Redis key has a TTL: renewed at most once a second, and when a key was made anew.
    function touch()
        redis.call("PEXPIRE", KEYS[1], POOL_TTL_MS)
        for i = 2, #KEYS do
            redis.call("PEXPIRE", KEYS[i], STATE_TTL_MS)
        end
    end

    function save()
        push_messages()
        local is_due = pool.now - pool.touched >= TOUCH_MS
        if is_due then
            pool.touched = pool.now
        end
        save_records()
        save_tickets()
        if is_due then
            touch()
        end
        for _, id in ipairs(pool.forgotten or {}) do
            redis.call("HDEL", KEYS[1], "process|" .. id, "info|" .. id)
        end
    end
end
