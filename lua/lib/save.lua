-- lib/save: all small records are written at the end, in one command.

local TOUCH_MS = 1000
local STATE_TTL_MS = 3600000           -- of tickets and queues; longer than any lease or tombstone
local POOL_TTL_MS = 2592000000         -- 30 days: limits, and levels of day limits

local function encode_queues()
    local out = {}
    for queue, armed in pairs(pool.queues) do
        out[#out + 1] = string.format('"%s":[%.0f,"%s","%s"]', queue, armed[1], armed[2], armed[3])
    end
    return "{" .. table.concat(out, ",") .. "}"
end

local function encode_meta()
    return string.format('["%s","%s",%.0f,%.0f,%.0f,%.0f,%.0f,%.0f,%.0f,%.0f]', pool.epoch, pool.predecessor,
        pool.fence, pool.seq, pool.offset, pool.seen, pool.lease, pool.presence, pool.ttl, pool.touched)
end

local function encode_parked()
    return #pool.parked > 0 and '["' .. table.concat(pool.parked, '","') .. '"]' or "[]"
end

local function changed_fields()
    local out = { "meta", encode_meta() }
    local function put(field, text)
        out[#out + 1] = field
        out[#out + 1] = text
    end
    if pool.queues_changed then
        put("queues", encode_queues())
    end
    if pool.parked_changed then
        put("parked", encode_parked())
    end
    for field, record in pairs(records) do
        if record and record.dirty then
            put("buckets|" .. field, encode_buckets(record))
        end
    end
    for id, process in pairs(processes) do
        if process and process.dirty then
            put("process|" .. id, string.format("[%.0f,%.0f,%.0f]", process[1], process[2], process[3]))
        end
    end
    return out
end

-- Every Redis key has a TTL: renewed at most once a second, and when keys were made anew.
local function touch()
    redis.call("PEXPIRE", KEYS[1], POOL_TTL_MS)
    for i = 2, #KEYS do
        redis.call("PEXPIRE", KEYS[i], STATE_TTL_MS)
    end
end

local function save()
    save_outputs()
    push_messages()
    local due = pool.now - pool.touched >= TOUCH_MS
    if due then
        pool.touched = pool.now
    end
    local fields = changed_fields()
    for first = 1, #fields, 1000 do
        redis.call("HSET", KEYS[1], unpack(fields, first, math.min(first + 999, #fields)))
    end
    if due or (added > 0 and redis.call("HLEN", KEYS[2]) <= added) then
        touch()
    end
end
