-- The commands that lua/*.lua use, as Redis answers a script, and those of a client. Returns {call, ask, begin,
-- pushed, take_work}. `begin(us)` sets the time of the next commands; `pushed` are the lists that grew, and the work
-- is how many commands and arguments there were.

local keyspace = require("keyspace")
local work = 0                                 -- commands and their arguments

-- The commands of all these rooms.
local function of(...)
    local found = {}
    for _, name in ipairs({ ... }) do
        for word, command in pairs(require(name)) do
            found[word] = command
        end
    end
    return found
end

local commands = of("hashes", "lists", "strings", "zsets", "zset_ranks", "zset_lex", "zset_scores", "keys", "clock")
local outside = of("server", "dumps")         -- what only a client may ask

-- Fewest and most arguments.
local ARITY = {
    HGET = { 2, 2 }, HMGET = { 2 }, HSET = { 3 }, HDEL = { 2 }, HLEN = { 1, 1 }, HEXISTS = { 2, 2 }, HKEYS = { 1, 1 },
    HGETALL = { 1, 1 }, HINCRBY = { 3, 3 }, RPUSH = { 2 }, LLEN = { 1, 1 }, LRANGE = { 3, 3 }, LINDEX = { 2, 2 },
    LPOP = { 1, 2 }, ZADD = { 3 }, ZREM = { 2 }, ZCARD = { 1, 1 }, ZSCORE = { 2, 2 }, ZMSCORE = { 2 }, ZRANK = { 2, 2 },
    ZRANGE = { 3 }, ZRANGEBYLEX = { 3 }, ZREVRANGEBYLEX = { 3 }, ZLEXCOUNT = { 3, 3 }, ZRANGEBYSCORE = { 3 }, ZCOUNT = { 3, 3 },
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
    begin = keyspace.begin,
    pushed = keyspace.pushed,
    take_work = function()
        local done = work
        work = 0
        return done
    end,
}
