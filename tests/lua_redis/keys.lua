-- The commands of keys of any kind: whether they are there, and until when.

local keyspace, integer = require("keyspace"), require("numbers").integer
local peek, drop, now_us = keyspace.peek, keyspace.drop, keyspace.now_us
local kinds, expires = keyspace.kinds, keyspace.expires
local keys = {}

function keys.DEL(...)
    local gone = 0
    for _, key in ipairs({ ... }) do
        peek(key)
        gone = gone + (drop(key) and 1 or 0)
    end
    return gone
end

keys.UNLINK = keys.DEL

function keys.EXISTS(...)
    local found = 0
    for _, key in ipairs({ ... }) do
        found = found + (peek(key) and 1 or 0)
    end
    return found
end

function keys.TYPE(key)
    peek(key)
    return { ok = kinds[key] or "none" }
end

function keys.PEXPIRE(key, ms)
    ms = integer(ms)
    if not peek(key) then
        return 0
    end
    expires[key] = math.floor(now_us() / 1000) + ms
    if ms <= 0 then
        drop(key)
    end
    return 1
end

function keys.PTTL(key)
    if not peek(key) then
        return -2
    end
    return expires[key] and math.max(0, math.floor(expires[key] - now_us() / 1000 + 0.5)) or -1
end

return keys
