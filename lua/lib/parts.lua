-- lib/parts: reads and writes of any size, in parts that `unpack` can carry.

local PART = 1000              -- even: fields go with values, scores with members
local STATE_TTL_MS = 3600000   -- of tickets and queues: longer than any lease or tombstone

-- The values of the fields of a hash, in order; false where there is none.
local function read_fields(key, fields)
    if #fields <= PART then
        return #fields > 0 and redis.call("HMGET", key, unpack(fields)) or {}
    end
    local values = {}
    for first = 1, #fields, PART do
        for i, value in ipairs(redis.call("HMGET", key, unpack(fields, first, math.min(first + PART - 1, #fields)))) do
            values[first + i - 1] = value
        end
    end
    return values
end

-- HSET or ZADD of many; a key that they make anew gets its TTL.
local function add(command, key, arguments)
    local added = 0
    for first = 1, #arguments, PART do
        added = added + redis.call(command, key, unpack(arguments, first, math.min(first + PART - 1, #arguments)))
    end
    if added > 0 and redis.call(command == "HSET" and "HLEN" or "ZCARD", key) <= added then
        redis.call("PEXPIRE", key, STATE_TTL_MS)
    end
end

-- HDEL or ZREM of many.
local function remove(command, key, names)
    for first = 1, #names, PART do
        redis.call(command, key, unpack(names, first, math.min(first + PART - 1, #names)))
    end
end

-- The first members of KEYS[3] that begin with a prefix and "|", in their order, after `skipped` of them.
local function range(prefix, count, skipped)
    return redis.call("ZRANGEBYLEX", KEYS[3], "[" .. prefix .. "|", "(" .. prefix .. "}", "LIMIT", skipped or 0, count)
end

local function count_range(prefix)
    return redis.call("ZLEXCOUNT", KEYS[3], "[" .. prefix .. "|", "(" .. prefix .. "}")
end
