-- The keys of the server, and its time. Returns {kinds, expires, pushed, peek, opened, put, drop, begin, now_us}:
-- `begin(us)` sets the time of the next commands; `pushed` are the lists that grew.

local sorted = require("sorted")
local values, kinds, expires = {}, {}, {}      -- key -> value; "hash", "list", "zset" or "string"; ms
local now_us = 0
local WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"

local function drop(key)
    local was_there = kinds[key] ~= nil
    values[key], kinds[key], expires[key] = nil, nil, nil
    return was_there
end

-- The value of a key, if it has not expired.
local function peek(key, kind)
    local at = expires[key]
    if at and at < math.floor(now_us / 1000) then
        drop(key)
    end
    if kinds[key] and kind and kinds[key] ~= kind then
        error(WRONG_TYPE, 0)
    end
    return values[key]
end

local function opened(key, kind)
    local value = peek(key, kind)
    if not value then
        value = kind == "zset" and sorted.new() or kind == "hash" and { fields = {}, size = 0 } or { first = 1, last = 0 }
        values[key], kinds[key] = value, kind
    end
    return value
end

local function put(key, kind, value)
    values[key], kinds[key] = value, kind
end

local function begin(us)
    now_us = us
end

return {
    kinds = kinds, expires = expires, pushed = {}, peek = peek, opened = opened, put = put, drop = drop, begin = begin,
    now_us = function()
        return now_us
    end,
}
