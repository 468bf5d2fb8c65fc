-- lib/cancel: tickets that nobody wants any more.

-- The ticket's place among the waiting of its queue: 0 is the head.
local function position_of(ticket)
    local ahead = 0
    for _, member in ipairs(range("h|" .. ticket.queue, 256)) do
        local process = string.match(member, "|%d+|([^|]+)|[^|]+$")
        local line = "w|" .. ticket.queue .. "|" .. process .. "|"
        ahead = ahead + redis.call("ZLEXCOUNT", KEYS[3], "[" .. line, "(" .. line .. string.format("%016d", ticket.order))
    end
    return ahead
end

-- Takes a waiting ticket out of its queue. Tells what it waited for: [position, resource, key, need,
-- level, limit, wait ms or -1, tick].
local function withdraw(ticket)
    local wait, resource, key, need, level, most, tick = binding_of(choose(ticket))
    local why = string.format('[%d,"%s","%s",%d,%d,%d,%d,%d]', position_of(ticket), resource, key, need, level, most,
        wait, tick)
    leave_line(ticket)
    remember_end(ticket, "c")
    return string.format('["c","q",%s]', why)
end
