-- The commands of sorted sets that name their members. What a set is: sorted.lua.

local keyspace, numbers, sorted = require("keyspace"), require("numbers"), require("sorted")
local peek, opened, drop = keyspace.peek, keyspace.opened, keyspace.drop
local score, score_text = numbers.score, numbers.score_text
local zsets = {}

function zsets.ZADD(key, ...)
    local arguments, first = { ... }, 1
    local only_new = arguments[1] == "NX"
    if only_new then
        first = 2
    end
    if #arguments < first + 1 or (#arguments - first) % 2 == 0 then
        error("ERR syntax error", 0)
    end
    local scores = {}
    for i = first, #arguments, 2 do
        scores[i] = score(arguments[i])
    end
    local set, added = opened(key, "zset"), 0
    for i = first, #arguments, 2 do
        if not (only_new and set.scores[arguments[i + 1]]) then
            added = added + (sorted.put(set, scores[i], arguments[i + 1]) and 1 or 0)
        end
    end
    return added
end

function zsets.ZREM(key, ...)
    local set, gone = peek(key, "zset"), 0
    for _, member in ipairs(set and { ... } or {}) do
        gone = gone + (sorted.take(set, member) and 1 or 0)
    end
    if set and set.size == 0 then
        drop(key)
    end
    return gone
end

function zsets.ZCARD(key)
    local set = peek(key, "zset")
    return set and set.size or 0
end

function zsets.ZSCORE(key, member)
    local set = peek(key, "zset")
    return set and set.scores[member] and score_text(set.scores[member]) or false
end

function zsets.ZMSCORE(key, ...)
    local found = { ... }
    peek(key, "zset")
    for i, member in ipairs(found) do
        found[i] = zsets.ZSCORE(key, member)
    end
    return found
end

function zsets.ZRANK(key, member)
    local set = peek(key, "zset")
    return set and set.scores[member] and sorted.rank(set, set.scores[member], member) or false
end

return zsets
