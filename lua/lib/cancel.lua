-- lib/cancel: tickets that nobody wants any more.

local withdraw
do
    -- How many waiting tickets go before this one, as far as that is certain: those of its flow that came
    -- before it, and those of higher bands.
    local function position_of(ticket, flow)
        local ahead = 0
        for band = 0, ticket.band - 1 do
            ahead = ahead + flow.queue[AT.WAITING + band]
        end
        for _, member in ipairs(range("h|" .. flow.key, 256)) do
            local process = string.match(member, "|%d+|([^|]+)|[^|]+$")
            local line = "w|" .. process .. "|" .. flow.key .. "|"
            ahead = ahead + (is_parked(process) and 0
                or redis.call("ZLEXCOUNT", KEYS[3], "[" .. line, "(" .. line .. string.format("%016d", ticket.order)))
        end
        return ahead
    end

    -- Takes a waiting ticket out of its queue. Tells what it waited for: [position, resource, key, need,
    -- level, limit, wait ms or -1, tick].
    function withdraw(ticket)
        local flow = flow_of(queue_of(ticket.queue), ticket.band, ticket.tenant)
        local why = reason_text("timeout", (judge(ticket)), position_of(ticket, flow))
        leave_line(ticket, flow.key)
        count_ticket(flow, ticket, -1)
        if flow.id == ticket.id then
            look(flow)
        end
        remember_end(ticket, "c")
        return string.format('["c","q",[%s]]', why)
    end
end
