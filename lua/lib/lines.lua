-- lib/lines: the order of the waiting (ENGINE.md §4).
--
-- A queue is a lane and a key set: "<lane>|<key set>". In it each process has a line, a FIFO of
-- its own; only the head of a line stands in the order of the queue, so that a process which
-- went silent is taken out in one move, whatever the length of its line.
-- Members of KEYS[3]: w|queue|process|order|id waits, h|queue|order|process|id heads a line.

-- The queues that wait, sorted: no decision hangs on the order of a Lua table.
local function queue_names()
    local names = {}
    for queue in pairs(pool.queues) do
        names[#names + 1] = queue
    end
    table.sort(names)
    return names
end

-- The member that puts the first ticket of a line into the order; nil when the line is empty.
local function head_of_line(queue, process)
    local member = range("w|" .. queue .. "|" .. process, 1)[1]
    return member and string.gsub(member, "^w|(.*)|([^|]+)|(%d+)|([^|]+)$", "h|%1|%3|%2|%4") or nil
end

-- The id of the queue's first ticket, and its process; nil when none is in the order.
local function first_of_queue(queue)
    local member = range("h|" .. queue, 1)[1]
    if member then
        local process, id = string.match(member, "|([^|]+)|([^|]+)$")
        return id, process
    end
    return nil
end

local function count_waiting(queue)
    return count_range("w|" .. queue)
end

-- Puts new tickets of the caller, in order, at the end of its line.
local function join_line(queue, waiting)
    local line = string.format("w|%s|%s|", queue, pool.caller)
    local members = {}
    for _, ticket in ipairs(waiting) do
        members[#members + 1] = "0"
        members[#members + 1] = string.format("%s%016d|%s", line, ticket.order, ticket.id)
        touched[ticket.id] = true
    end
    if not head_of_line(queue, pool.caller) then
        local first = waiting[1]
        members[#members + 1] = "0"
        members[#members + 1] = string.format("h|%s|%016d|%s|%s", queue, first.order, pool.caller, first.id)
    end
    add("ZADD", KEYS[3], members)
    if not pool.queues[queue] then
        pool.queues[queue], pool.queues_changed = { 0, "", "" }, true
    end
end

-- Takes a ticket out of its line; the next of the line becomes its head.
local function leave_line(ticket)
    local queue, process = ticket.queue, ticket.process
    local waits = string.format("w|%s|%s|%016d|%s", queue, process, ticket.order, ticket.id)
    local heads_it = string.format("h|%s|%016d|%s|%s", queue, ticket.order, process, ticket.id)
    local was_head = redis.call("ZREM", KEYS[3], waits, heads_it) == 2
    local member = was_head and head_of_line(queue, process)
    if member then
        add("ZADD", KEYS[3], { "0", member })
    end
end
