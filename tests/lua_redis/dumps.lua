-- Keys as texts and back, which only a client may ask for.

local keyspace, sorted, score_text = require("keyspace"), require("sorted"), require("numbers").score_text
local hashes, keys, lists = require("hashes"), require("keys"), require("lists")
local strings, zsets = require("strings"), require("zsets")
local peek, kinds = keyspace.peek, keyspace.kinds
local dumps = {}

-- A key as text that RESTORE takes; keys with the same contents have the same text.
function dumps.DUMP(key)
    local value, out = peek(key), {}
    if kinds[key] == "hash" then
        out = hashes.HGETALL(key)
    elseif kinds[key] == "zset" then
        for _, member in ipairs(sorted.slice(value, 0, value.size)) do
            out[#out + 1] = score_text(value.scores[member])
            out[#out + 1] = member
        end
    elseif kinds[key] == "list" then
        out = lists.LRANGE(key, "0", "-1")
    elseif value then
        out = { value }
    end
    for i, text in ipairs(out) do
        out[i] = #text .. ":" .. text
    end
    return value and kinds[key] .. "|" .. table.concat(out) or false
end

local PUT_BACK = { hash = hashes.HSET, zset = zsets.ZADD, list = lists.RPUSH, string = strings.SET }

function dumps.RESTORE(key, ttl_ms, dump)
    local kind, rest = string.match(dump, "^(%l+)|(.*)$")
    local parts, at = {}, 1
    while at <= #rest do
        local size, after = string.match(rest, "^(%d+):()", at)
        parts[#parts + 1], at = string.sub(rest, after, after + size - 1), after + size
    end
    local step = kind == "list" and 1 or 2
    for i = 1, #parts, step do
        PUT_BACK[kind](key, parts[i], step == 2 and parts[i + 1] or nil)
    end
    if ttl_ms ~= "0" then
        keys.PEXPIRE(key, ttl_ms)
    end
    return { ok = "OK" }
end

return dumps
