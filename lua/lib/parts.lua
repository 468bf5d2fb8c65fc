-- lib/parts: reads and writes of any size, in parts that `unpack` can carry.

local read_fields, send, range, count_range
do
    local PART = 1000              -- even: fields go with values, scores with members

    -- The values of the fields of a hash (HMGET) or the scores of members (ZMSCORE), in order; false: none.
    function read_fields(key, fields, command)
        if #fields <= PART then
            return #fields > 0 and redis.call(command or "HMGET", key, unpack(fields)) or {}
        end
        local values = {}
        for first = 1, #fields, PART do
            local part = redis.call(command or "HMGET", key, unpack(fields, first, math.min(first + PART - 1, #fields)))
            for i = 1, #part do
                values[first + i - 1] = part[i]
            end
        end
        return values
    end

    -- HSET, HDEL, ZADD or ZREM of any number of arguments, none included.
    function send(command, key, arguments)
        for first = 1, #arguments, PART do
            redis.call(command, key, unpack(arguments, first, math.min(first + PART - 1, #arguments)))
        end
    end

    -- The first members of KEYS[3] that begin with a prefix and "|", in their order, after `skipped` of them.
    function range(prefix, count, skipped)
        return redis.call("ZRANGEBYLEX", KEYS[3], "[" .. prefix .. "|", "(" .. prefix .. "}", "LIMIT", skipped or 0, count)
    end

    function count_range(prefix)
        return redis.call("ZLEXCOUNT", KEYS[3], "[" .. prefix .. "|", "(" .. prefix .. "}")
    end
end
