-- The commands of hashes. A hash is {fields, size}.

local keyspace, integer = require("keyspace"), require("numbers").integer
local peek, opened, drop = keyspace.peek, keyspace.opened, keyspace.drop
local hashes = {}

function hashes.HGET(key, field)
    local hash = peek(key, "hash")
    return hash and hash.fields[field] or false
end

function hashes.HMGET(key, ...)
    local hash, found, names = peek(key, "hash"), {}, { ... }
    for i = 1, #names do
        found[i] = hash and hash.fields[names[i]] or false
    end
    return found
end

function hashes.HSET(key, ...)
    local pairs_of, made = { ... }, 0
    if #pairs_of % 2 == 1 then
        error("ERR wrong number of arguments for 'hset' command", 0)
    end
    local hash = opened(key, "hash")
    local fields = hash.fields
    for i = 1, #pairs_of, 2 do
        made = made + (fields[pairs_of[i]] == nil and 1 or 0)
        fields[pairs_of[i]] = pairs_of[i + 1]
    end
    hash.size = hash.size + made
    return made
end

function hashes.HDEL(key, ...)
    local hash, gone = peek(key, "hash"), 0
    for _, field in ipairs(hash and { ... } or {}) do
        if hash.fields[field] ~= nil then
            hash.fields[field], gone = nil, gone + 1
        end
    end
    if hash then
        hash.size = hash.size - gone
        if hash.size == 0 then
            drop(key)
        end
    end
    return gone
end

function hashes.HLEN(key)
    local hash = peek(key, "hash")
    return hash and hash.size or 0
end

function hashes.HEXISTS(key, field)
    local hash = peek(key, "hash")
    return hash and hash.fields[field] ~= nil and 1 or 0
end

function hashes.HKEYS(key)
    local hash, names = peek(key, "hash"), {}
    for name in pairs(hash and hash.fields or {}) do
        names[#names + 1] = name
    end
    return names
end

function hashes.HGETALL(key)
    local hash, found, names = peek(key, "hash"), {}, hashes.HKEYS(key)
    table.sort(names)
    for _, name in ipairs(names) do
        found[#found + 1] = name
        found[#found + 1] = hash.fields[name]
    end
    return found
end

function hashes.HINCRBY(key, field, by)
    local fields = opened(key, "hash").fields
    local sum = integer(fields[field] or "0") + integer(by)
    hashes.HSET(key, field, string.format("%.0f", sum))
    return sum
end

return hashes
