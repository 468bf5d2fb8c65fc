-- The commands that lua/*.lua use, as Redis answers a script. Takes the sorted set; returns
-- {call, ask, begin, pushed, take_work}. `begin(us)` sets the time of the next commands; `pushed` are the lists
-- that grew, and the work is how many commands and arguments there were.

local sorted = ...
local values, kinds, expires = {}, {}, {}      -- key -> value; "hash", "list" or "zset"; ms
local now_us = 0
local pushed = {}
local work = 0                                 -- commands and their arguments
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

local function integer(text)
    local number = tonumber(text)
    if not number or number % 1 ~= 0 then
        error("ERR value is not an integer or out of range", 0)
    end
    return number
end

local function score(text)
    local number = tonumber(text)
    if string.find(text, "^[+-]?inf$") then
        number = string.sub(text, 1, 1) == "-" and -math.huge or math.huge
    end
    return number or error("ERR value is not a valid float", 0)
end

-- A span of 0-based indexes as Redis counts them: first and count.
local function span(first, last, size)
    first, last = integer(first), integer(last)
    first = math.max(0, first < 0 and size + first or first)
    last = math.min(size - 1, last < 0 and size + last or last)
    return first, math.max(0, last - first + 1)
end

local commands = {}

-- -- hashes ------------------------------------------------------------------------------------

function commands.HGET(key, field)
    local hash = peek(key, "hash")
    return hash and hash.fields[field] or false
end

function commands.HMGET(key, ...)
    local hash, found, names = peek(key, "hash"), {}, { ... }
    for i = 1, #names do
        found[i] = hash and hash.fields[names[i]] or false
    end
    return found
end

function commands.HSET(key, ...)
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

function commands.HDEL(key, ...)
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

function commands.HLEN(key)
    local hash = peek(key, "hash")
    return hash and hash.size or 0
end

function commands.HEXISTS(key, field)
    local hash = peek(key, "hash")
    return hash and hash.fields[field] ~= nil and 1 or 0
end

function commands.HKEYS(key)
    local hash, names = peek(key, "hash"), {}
    for name in pairs(hash and hash.fields or {}) do
        names[#names + 1] = name
    end
    return names
end

function commands.HGETALL(key)
    local hash, found, names = peek(key, "hash"), {}, commands.HKEYS(key)
    table.sort(names)
    for _, name in ipairs(names) do
        found[#found + 1] = name
        found[#found + 1] = hash.fields[name]
    end
    return found
end

function commands.HINCRBY(key, field, by)
    local fields = opened(key, "hash").fields
    local sum = integer(fields[field] or "0") + integer(by)
    commands.HSET(key, field, string.format("%.0f", sum))
    return sum
end

-- -- lists -------------------------------------------------------------------------------------

function commands.RPUSH(key, ...)
    local list = opened(key, "list")
    for _, value in ipairs({ ... }) do
        list.last = list.last + 1
        list[list.last] = value
    end
    pushed[#pushed + 1] = key
    return list.last - list.first + 1
end

function commands.LLEN(key)
    local list = peek(key, "list")
    return list and list.last - list.first + 1 or 0
end

function commands.LRANGE(key, first, last)
    local list, found = peek(key, "list"), {}
    local from, count = span(first, last, commands.LLEN(key))
    for i = 0, count - 1 do
        found[i + 1] = list[list.first + from + i]
    end
    return found
end

function commands.LINDEX(key, at)
    local list, size = peek(key, "list"), commands.LLEN(key)
    at = integer(at)
    at = at < 0 and size + at or at
    return list and at >= 0 and at < size and list[list.first + at] or false
end

function commands.LPOP(key, count)
    local list, found = peek(key, "list"), {}
    if not list then
        return false
    end
    for i = 1, math.min(integer(count or "1"), commands.LLEN(key)) do
        found[i] = list[list.first]
        list[list.first], list.first = nil, list.first + 1
    end
    if list.first > list.last then
        drop(key)
    end
    return count and found or found[1]
end

-- -- sorted sets -------------------------------------------------------------------------------

function commands.ZADD(key, ...)
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

function commands.ZREM(key, ...)
    local set, gone = peek(key, "zset"), 0
    for _, member in ipairs(set and { ... } or {}) do
        gone = gone + (sorted.take(set, member) and 1 or 0)
    end
    if set and set.size == 0 then
        drop(key)
    end
    return gone
end

function commands.ZCARD(key)
    local set = peek(key, "zset")
    return set and set.size or 0
end

local function score_text(number)
    if number == math.huge or number == -math.huge then
        return number > 0 and "inf" or "-inf"
    end
    return string.format("%.17g", number)
end

function commands.ZSCORE(key, member)
    local set = peek(key, "zset")
    return set and set.scores[member] and score_text(set.scores[member]) or false
end

function commands.ZMSCORE(key, ...)
    local found = { ... }
    peek(key, "zset")
    for i, member in ipairs(found) do
        found[i] = commands.ZSCORE(key, member)
    end
    return found
end

local function with_scores(set, members)
    local found = {}
    for _, member in ipairs(members) do
        found[#found + 1] = member
        found[#found + 1] = score_text(set.scores[member])
    end
    return found
end

function commands.ZRANK(key, member)
    local set = peek(key, "zset")
    return set and set.scores[member] and sorted.rank(set, set.scores[member], member) or false
end

-- What may follow a range: WITHSCORES, LIMIT offset count.
local function options_of(arguments, takes_limit)
    local offset, count, shows_scores, i = 0, math.huge, false, 1
    while arguments[i] do
        if arguments[i] == "WITHSCORES" then
            shows_scores, i = true, i + 1
        elseif takes_limit and arguments[i] == "LIMIT" and arguments[i + 2] then
            offset, count, i = integer(arguments[i + 1]), integer(arguments[i + 2]), i + 3
        else
            error("ERR syntax error", 0)
        end
    end
    return offset, count < 0 and math.huge or count, shows_scores
end

function commands.ZRANGE(key, first, last, ...)
    local set = peek(key, "zset")
    local _, _, shows_scores = options_of({ ... }, false)
    local from, count = span(first, last, set and set.size or 0)
    local members = set and sorted.slice(set, from, count) or {}
    return shows_scores and with_scores(set, members) or members
end

-- A lexicographic bound: member and mark, checked.
local function lex_bound(text)
    local mark = string.sub(text, 1, 1)
    if text ~= "-" and text ~= "+" and mark ~= "[" and mark ~= "(" then
        error("ERR min or max not valid string range item", 0)
    end
    return { mark = mark, member = string.sub(text, 2) }
end

-- Its rank in a set whose scores are all the same: as a start, or as an end.
local function lex_rank(set, bound, is_end)
    if bound.mark == "-" or bound.mark == "+" then
        return bound.mark == "-" and 0 or set.size
    end
    local own = set.scores[set.chunks[1][1]]
    local is_after = (bound.mark == "[") == is_end
    return sorted.rank(set, own, bound.member) + (is_after and set.scores[bound.member] and 1 or 0)
end

local function ranked(set, first, last, offset, count)
    return sorted.slice(set, first + offset, math.max(0, math.min(count, last - first - offset)))
end

function commands.ZRANGEBYLEX(key, low, high, ...)
    local set, first, last = peek(key, "zset"), lex_bound(low), lex_bound(high)
    local offset, count = options_of({ ... }, true)
    return set and ranked(set, lex_rank(set, first, false), lex_rank(set, last, true), offset, count) or {}
end

function commands.ZREVRANGEBYLEX(key, high, low, ...)
    local found, members = {}, commands.ZRANGEBYLEX(key, low, high)
    local offset, count = options_of({ ... }, true)
    for i = #members - offset, math.max(1, #members - offset - count + 1), -1 do
        found[#found + 1] = members[i]
    end
    return found
end

function commands.ZLEXCOUNT(key, low, high)
    local set, first, last = peek(key, "zset"), lex_bound(low), lex_bound(high)
    return set and math.max(0, lex_rank(set, last, true) - lex_rank(set, first, false)) or 0
end

local function score_bound(text)
    local is_open = string.sub(text, 1, 1) == "("
    return { number = score(is_open and string.sub(text, 2) or text), is_open = is_open }
end

-- The rank of a score bound: members before it when it is a start, up to it when it is an end.
local function score_rank(set, bound, is_end)
    local before = sorted.rank(set, bound.number, "")
    if bound.is_open ~= is_end then
        for _, member in ipairs(sorted.slice(set, before, math.huge)) do
            if set.scores[member] ~= bound.number then
                break
            end
            before = before + 1
        end
    end
    return before
end

function commands.ZRANGEBYSCORE(key, low, high, ...)
    local set, first, last = peek(key, "zset"), score_bound(low), score_bound(high)
    local offset, count, shows_scores = options_of({ ... }, true)
    local members = set and ranked(set, score_rank(set, first, false), score_rank(set, last, true), offset, count) or {}
    return shows_scores and with_scores(set, members) or members
end

function commands.ZCOUNT(key, low, high)
    return #commands.ZRANGEBYSCORE(key, low, high)
end

function commands.ZREMRANGEBYRANK(key, first, last)
    local set = peek(key, "zset")
    local members = set and sorted.slice(set, span(first, last, set.size)) or {}
    return #members > 0 and commands.ZREM(key, unpack(members)) or 0
end

-- -- strings and keys --------------------------------------------------------------------------

function commands.SET(key, value, unit, count)
    drop(key)
    values[key], kinds[key] = value, "string"
    if unit == "PX" then
        expires[key] = now_us / 1000 + integer(count)
    elseif unit then
        error("ERR syntax error", 0)
    end
    return { ok = "OK" }
end

function commands.GET(key)
    return peek(key, "string") or false
end

function commands.DEL(...)
    local gone = 0
    for _, key in ipairs({ ... }) do
        peek(key)
        gone = gone + (drop(key) and 1 or 0)
    end
    return gone
end

commands.UNLINK = commands.DEL

function commands.EXISTS(...)
    local found = 0
    for _, key in ipairs({ ... }) do
        found = found + (peek(key) and 1 or 0)
    end
    return found
end

function commands.TYPE(key)
    peek(key)
    return { ok = kinds[key] or "none" }
end

function commands.PEXPIRE(key, ms)
    ms = integer(ms)
    if not peek(key) then
        return 0
    end
    expires[key] = math.floor(now_us / 1000) + ms
    if ms <= 0 then
        drop(key)
    end
    return 1
end

function commands.PTTL(key)
    if not peek(key) then
        return -2
    end
    return expires[key] and math.max(0, math.floor(expires[key] - now_us / 1000 + 0.5)) or -1
end

function commands.TIME()
    local seconds = math.floor(now_us / 1000000)
    return { string.format("%d", seconds), string.format("%d", now_us - seconds * 1000000) }
end

-- -- what only a client may ask ------------------------------------------------------------------

local outside = {}

function outside.KEYS(pattern)
    local found = {}
    local lua = "^" .. string.gsub(string.gsub(pattern, "[%^%$%(%)%%%.%[%]%+%-]", "%%%0"), "%*", ".*") .. "$"
    for key in pairs(kinds) do
        if peek(key) and string.find(key, lua) then
            found[#found + 1] = key
        end
    end
    table.sort(found)
    return found
end

function outside.FLUSHALL()
    for key in pairs(kinds) do
        drop(key)
    end
    return { ok = "OK" }
end

-- A key as text that RESTORE takes; keys with the same contents have the same text.
function outside.DUMP(key)
    local value, out = peek(key), {}
    if kinds[key] == "hash" then
        out = commands.HGETALL(key)
    elseif kinds[key] == "zset" then
        for _, member in ipairs(sorted.slice(value, 0, value.size)) do
            out[#out + 1] = score_text(value.scores[member])
            out[#out + 1] = member
        end
    elseif kinds[key] == "list" then
        out = commands.LRANGE(key, "0", "-1")
    elseif value then
        out = { value }
    end
    for i, text in ipairs(out) do
        out[i] = #text .. ":" .. text
    end
    return value and kinds[key] .. "|" .. table.concat(out) or false
end

local PUT_BACK = { hash = "HSET", zset = "ZADD", list = "RPUSH", string = "SET" }

function outside.RESTORE(key, ttl_ms, dump)
    local kind, rest = string.match(dump, "^(%l+)|(.*)$")
    local parts, at = {}, 1
    while at <= #rest do
        local size, after = string.match(rest, "^(%d+):()", at)
        parts[#parts + 1], at = string.sub(rest, after, after + size - 1), after + size
    end
    local step = kind == "list" and 1 or 2
    for i = 1, #parts, step do
        commands[PUT_BACK[kind]](key, parts[i], step == 2 and parts[i + 1] or nil)
    end
    if ttl_ms ~= "0" then
        commands.PEXPIRE(key, ttl_ms)
    end
    return { ok = "OK" }
end

-- -- calls ---------------------------------------------------------------------------------------

-- Fewest and most arguments.
local ARITY = {
    HGET = { 2, 2 }, HMGET = { 2 }, HSET = { 3 }, HDEL = { 2 }, HLEN = { 1, 1 }, HEXISTS = { 2, 2 }, HKEYS = { 1, 1 },
    HGETALL = { 1, 1 }, HINCRBY = { 3, 3 }, RPUSH = { 2 }, LLEN = { 1, 1 }, LRANGE = { 3, 3 }, LINDEX = { 2, 2 },
    LPOP = { 1, 2 }, ZADD = { 3 }, ZREM = { 2 }, ZCARD = { 1, 1 }, ZSCORE = { 2, 2 }, ZMSCORE = { 2 }, ZRANK = { 2, 2 }, ZRANGE = { 3 },
    ZRANGEBYLEX = { 3 }, ZREVRANGEBYLEX = { 3 }, ZLEXCOUNT = { 3, 3 }, ZRANGEBYSCORE = { 3 }, ZCOUNT = { 3, 3 },
    ZREMRANGEBYRANK = { 3, 3 }, SET = { 2 }, GET = { 1, 1 }, DEL = { 1 }, UNLINK = { 1 }, EXISTS = { 1 },
    TYPE = { 1, 1 }, PEXPIRE = { 2, 2 }, PTTL = { 1, 1 }, TIME = { 0, 0 },
    KEYS = { 1, 1 }, FLUSHALL = { 0, 1 }, DUMP = { 1, 1 }, RESTORE = { 3, 3 },
}

local function text_of(argument)
    if type(argument) == "string" then
        return argument
    elseif type(argument) == "number" then
        return string.format("%.17g", argument)
    end
    error("ERR Lua redis lib command arguments must be strings or integers", 0)
end

local function run(found, name, ...)
    if not found then
        error("ERR Unknown Redis command called from script: " .. tostring(name), 0)
    end
    local count, arity = select("#", ...), ARITY[name]
    work = work + 1 + count
    if count < arity[1] or count > (arity[2] or count) then
        error("ERR wrong number of arguments for '" .. string.lower(name) .. "' command", 0)
    end
    for i = 1, count do
        if type((select(i, ...))) ~= "string" then
            local texts = { ... }
            for j = 1, count do
                texts[j] = text_of(texts[j])
            end
            return found(unpack(texts, 1, count))
        end
    end
    return found(...)
end

return {
    call = function(name, ...)
        return run(commands[name], name, ...)
    end,
    ask = function(name, ...)
        return run(commands[name] or outside[name], name, ...)
    end,
    begin = function(us)
        now_us = us
    end,
    pushed = pushed,
    take_work = function()
        local done = work
        work = 0
        return done
    end,
}
