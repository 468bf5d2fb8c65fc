-- lib/lines: the order of the waiting (ENGINE.md §4).
--
-- A queue is a lane and a key set: "<lane>|<key set>". In it each process has a line, a FIFO of
-- its own; only the head of a line stands in the order of the queue, so that a process which
-- went silent is taken out in one move, whatever the length of its line.
-- Members of KEYS[3]: w|queue|process|order|id waits, h|queue|order|process|id heads a line.

local DROPPED_PER_CALL = 100

local function waiting_member(ticket)
    return string.format("w|%s|%s|%016.0f|%s", ticket.queue, ticket.process, ticket.order, ticket.id)
end

local function head_member(queue, process, order, id)
    return string.format("h|%s|%s|%s|%s", queue, order, process, id)
end

local function range(prefix, count)
    return redis.call("ZRANGEBYLEX", KEYS[3], "[" .. prefix .. "|", "(" .. prefix .. "}", "LIMIT", 0, count)
end

local function first_of_line(queue, process)
    local member = range("w|" .. queue .. "|" .. process, 1)[1]
    if member then
        local order, id = string.match(member, "|(%d+)|([^|]+)$")
        return head_member(queue, process, order, id), id
    end
    return nil
end

-- The id of the queue's first ticket, and its process and order; nil when none is in the order.
local function first_of_queue(queue)
    local member = range("h|" .. queue, 1)[1]
    if member then
        local order, process, id = string.match(member, "|(%d+)|([^|]+)|([^|]+)$")
        return id, process, tonumber(order)
    end
    return nil
end

local function count_waiting(queue)
    return redis.call("ZLEXCOUNT", KEYS[3], "[w|" .. queue .. "|", "(w|" .. queue .. "}")
end

-- Puts a new ticket at the end of its line.
local function join_line(ticket)
    local is_first = first_of_line(ticket.queue, ticket.process) == nil
    redis.call("ZADD", KEYS[3], 0, waiting_member(ticket))
    if is_first then
        local order = string.format("%016.0f", ticket.order)
        redis.call("ZADD", KEYS[3], 0, head_member(ticket.queue, ticket.process, order, ticket.id))
    end
    if not pool.queues[ticket.queue] then
        pool.queues[ticket.queue] = { 0, "", "" }
        pool.queues_changed = true
    end
end

-- Takes a ticket out of its line; the next of the line becomes its head.
local function leave_line(ticket)
    local order = string.format("%016.0f", ticket.order)
    local head = head_member(ticket.queue, ticket.process, order, ticket.id)
    local was_head = redis.call("ZREM", KEYS[3], head) == 1
    redis.call("ZREM", KEYS[3], waiting_member(ticket))
    if was_head then
        local member = first_of_line(ticket.queue, ticket.process)
        if member then
            redis.call("ZADD", KEYS[3], 0, member)
        end
    end
end

-- Takes all lines of a process out of the order; its tickets keep their places.
local function leave_order(id)
    for queue in pairs(pool.queues) do
        local member = first_of_line(queue, id)
        if member then
            redis.call("ZREM", KEYS[3], member)
        end
    end
end

local function park(id)
    leave_order(id)
    local process = process_of(id) or { pool.presence - ABSENT_MS, 0, 0 }
    process[3], process.dirty = 1, true
    processes[id] = process
    pool.parked[#pool.parked + 1] = id
    pool.parked_changed = true
end

-- Puts the lines of a process that calls again back into the order.
local function unpark(id)
    for queue in pairs(pool.queues) do
        local member = first_of_line(queue, id)
        if member then
            redis.call("ZADD", KEYS[3], 0, member)
        end
    end
    for i = #pool.parked, 1, -1 do
        if pool.parked[i] == id then
            table.remove(pool.parked, i)
            pool.parked_changed = true
        end
    end
end

-- Drops a bounded number of the tickets that an absent process has queued.
local function drop_line(id)
    local left = DROPPED_PER_CALL
    for queue in pairs(pool.queues) do
        local members = left > 0 and range("w|" .. queue .. "|" .. id, left) or {}
        for _, member in ipairs(members) do
            local ticket_id = string.match(member, "([^|]+)$")
            redis.call("HDEL", KEYS[2], ticket_id)
            remember_end({ id = ticket_id }, "c")
        end
        if #members > 0 then
            redis.call("ZREM", KEYS[3], unpack(members))
        end
        left = left - #members
    end
    return left > 0
end

-- Looks after the parked: who is absent for too long loses what it has queued.
local function drop_absent()
    for i = #pool.parked, 1, -1 do
        local id = pool.parked[i]
        local process = process_of(id)
        if not process or pool.presence - process[1] > ABSENT_MS then
            if process then
                process[3], process.dirty = 2, true
            end
            if drop_line(id) then
                table.remove(pool.parked, i)
                processes[id] = nil
                redis.call("HDEL", KEYS[1], "process|" .. id)
            end
            pool.parked_changed = true
            pool.is_dropping = #pool.parked > 0
            return
        end
    end
end
