-- lib/opening: what every call reads first.

local function read_json(text, otherwise)
    return text and text ~= "[]" and text ~= "{}" and cjson.decode(text) or otherwise
end

-- The texts of the fields of KEYS[1] that every call needs, and of more of them; and the server's time in ms.
local function read_opening(caller, more)
    local time = redis.call("TIME")
    return redis.call("HMGET", KEYS[1], "meta", "queues", "outages", "parked", "process|" .. caller, "order",
        unpack(more)), time[1] * 1000 + math.floor(time[2] / 1000)
end
