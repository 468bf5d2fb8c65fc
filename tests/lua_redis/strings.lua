-- The commands of plain texts.

local keyspace, integer = require("keyspace"), require("numbers").integer
local peek, put, drop, expires = keyspace.peek, keyspace.put, keyspace.drop, keyspace.expires
local strings = {}

function strings.SET(key, value, unit, count)
    drop(key)
    put(key, "string", value)
    if unit == "PX" then
        expires[key] = keyspace.now_us() / 1000 + integer(count)
    elseif unit then
        error("ERR syntax error", 0)
    end
    return { ok = "OK" }
end

function strings.GET(key)
    return peek(key, "string") or false
end

return strings
