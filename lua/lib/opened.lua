-- lib/opened: reads what every call reads first (lib/opening): the meta record, that of a process (`opening`), and what is
-- named.

do
    local time = redis.call("TIME")
    server_ms = time[1] * 1000 + math.floor(time[2] / 1000)
    if named then
        opened = redis.call("HMGET", KEYS[1], "meta", opening, unpack(named))
    else
        opened = redis.call("HMGET", KEYS[1], "meta", opening)
    end
end
