-- lib/lines: who waits, in order of arrival.
--
-- In a flow (lib/flows) each process has a line, a FIFO of its own; only the heads of lines stand in the
-- order of the flow, so that the line of a process which went silent is set aside in one move, however long it is.
-- Members of KEYS[3]: w|process|flow|order|id waits, h|flow|order|process|id heads a line, s|process|flow is a line
-- that is set aside (lib/parking): each line that is not empty has one of these two.

local heading, aside, head_of_line, is_parked, join_line, leave_line
do
    -- The member that puts a ticket that waits into the order, where it is the first of its line.
    function heading(member)
        return (string.gsub(member, "^w|([^|]+)|(.*)|(%d+)|([^|]+)$", "h|%2|%3|%1|%4"))
    end

    -- The member that tells that a line is set aside.
    function aside(process, key)
        return "s|" .. process .. "|" .. key
    end

    -- The member that puts the first ticket of a line into the order; nil when the line is empty.
    function head_of_line(process, key)
        local member = range("w|" .. process .. "|" .. key, 1)[1]
        return member and heading(member) or nil
    end

    -- True when a process is known as silent: until it calls, its lines are set aside when they are met.
    function is_parked(id)
        local process = process_of(id)
        return process and process[3] > 0
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

    -- Takes a ticket out of its line; the next of the line becomes its head, unless the line is set aside.
    function leave_line(ticket, key)
        local waits = string.format("w|%s|%s|%016d|%s", ticket.process, key, ticket.order, ticket.id)
        local heads_it = string.format("h|%s|%016d|%s|%s", key, ticket.order, ticket.process, ticket.id)
        local was_head = redis.call("ZREM", KEYS[3], waits, heads_it) == 2
        local member = (was_head or #pool.parked > 0) and head_of_line(ticket.process, key)
        if member and was_head then
            send("ZADD", KEYS[3], { "0", member })
        elseif not member and #pool.parked > 0 then
            send("ZREM", KEYS[3], { aside(ticket.process, key) })
        end
    end
end
