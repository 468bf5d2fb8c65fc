-- lib/lines: who waits, in order of arrival.
--
-- In a flow (lib/flows) each process has a line, a FIFO of its own; only the heads of lines stand in the
-- order of the flow, so that a process which went silent is taken out in few moves, however much it queued.
-- Members of KEYS[3]: w|process|flow|order|id waits, h|flow|order|process|id heads a line.

local head_of_line, lines_of, join_line, leave_line
do
    -- The member that puts a ticket that waits into the order, where it is the first of its line.
    local function heading(member)
        return (string.gsub(member, "^w|([^|]+)|(.*)|(%d+)|([^|]+)$", "h|%2|%3|%1|%4"))
    end

    -- The member that puts the first ticket of a line into the order; nil when the line is empty.
    function head_of_line(process, key)
        local member = range("w|" .. process .. "|" .. key, 1)[1]
        return member and heading(member) or nil
    end

    -- The flows in which a process has a line, by their keys, and the members that head these lines.
    function lines_of(process)
        local keys, heads, from, upto = {}, {}, "[w|" .. process .. "|", "(w|" .. process .. "}"
        while true do
            local member = redis.call("ZRANGEBYLEX", KEYS[3], from, upto, "LIMIT", 0, 1)[1]
            if not member then
                return keys, heads
            end
            keys[#keys + 1], heads[#heads + 1] = string.match(member, "^w|[^|]+|(%d+|%d|[^|]*)|"), heading(member)
            from = "(w|" .. process .. "|" .. keys[#keys] .. "}"
        end
    end

    -- Puts new tickets of the caller, in order, at the end of its line.
    function join_line(flow, waiting)
        local line, members = string.format("w|%s|%s|", pool.caller, flow.key), {}
        for _, ticket in ipairs(waiting) do
            members[#members + 1] = "0"
            members[#members + 1] = string.format("%s%016d|%s", line, ticket.order, ticket.id)
            touched[ticket.id] = true
        end
        if not head_of_line(pool.caller, flow.key) then
            local first = waiting[1]
            members[#members + 1] = "0"
            members[#members + 1] = string.format("h|%s|%016d|%s|%s", flow.key, first.order, pool.caller, first.id)
        end
        send("ZADD", KEYS[3], members)
        flow.has_lines = true
    end

    -- Takes a ticket out of its line; the next of the line becomes its head.
    function leave_line(ticket, key)
        local waits = string.format("w|%s|%s|%016d|%s", ticket.process, key, ticket.order, ticket.id)
        local heads_it = string.format("h|%s|%016d|%s|%s", key, ticket.order, ticket.process, ticket.id)
        local was_head = redis.call("ZREM", KEYS[3], waits, heads_it) == 2
        local member = was_head and head_of_line(ticket.process, key)
        if member then
            send("ZADD", KEYS[3], { "0", member })
        end
    end
end
