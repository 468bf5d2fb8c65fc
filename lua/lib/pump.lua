-- lib/pump: grants from the heads of the queues while they are affordable (ENGINE.md §4).
--
-- Invariants: after the pump each queue is empty or its head is blocked. Within a line grants
-- come in the order of arrival. A ticket that is not granted changes nothing but its queue.

local PUMP_BOUND = 512         -- tickets looked at in one call
local DROP_PAUSE_MS = 20       -- until the next part of a dead process's tickets is dropped
local OVERDUE_MS = 50          -- a timer this late: the next caller is told to arm it

local heads = {}               -- queue -> the ticket at its head, or false
local fresh = {}               -- queue -> tickets enqueued by this call, in order
local blocked = {}             -- queue -> verdict on its head
local refusals = {}            -- ticket id -> {reason, verdict}: denied or ended by this call
local wakes = {}               -- the caller's timers: {queue, ticket id, ms}

-- The stored head of a queue, skipping the lines of silent processes.
local function stored_head(queue)
    local id, process = first_of_queue(queue)
    while id do
        if process == pool.caller or not is_silent(process) then
            return find_ticket(id)
        end
        park(process)
        id, process = first_of_queue(queue)
    end
    return nil
end

local function head_of(queue)
    if heads[queue] == nil then
        local stored = pool.queues[queue] and stored_head(queue)
        heads[queue] = stored or (fresh[queue] and fresh[queue][1]) or false
    end
    return heads[queue]
end

-- The first to arrive among the heads that are not known to be blocked.
local function next_head()
    local first = nil
    for _, queues in ipairs({ pool.queues, fresh }) do
        for queue in pairs(queues) do
            local head = not blocked[queue] and head_of(queue)
            if head and (not first or head.order < first.order) then
                first = head
            end
        end
    end
    return first
end

-- Takes the head off its queue, wherever it stands.
local function unqueue(ticket)
    if ticket.is_fresh then
        table.remove(fresh[ticket.queue], 1)
    else
        leave_line(ticket)
    end
    heads[ticket.queue] = nil
end

-- Ends a waiting ticket that cannot go any more.
local function refuse(ticket, reason, verdict)
    unqueue(ticket)
    redis.call("HDEL", KEYS[2], ticket.id)
    remember_end(ticket, "c")
    refusals[ticket.id] = { reason, verdict, process = ticket.process }
    if ticket.process ~= pool.caller then
        tell(ticket.process, 3, string.format('["%s","%s"]', ticket.id, reason))
    end
end

local function grant_head(ticket, verdict)
    unqueue(ticket)
    grant(ticket, verdict, ticket.is_fresh)
    if ticket.process ~= pool.caller then
        local g = grants[ticket.id]
        tell(ticket.process, 1, string.format('["%s","%s",%.0f,%.0f]', g[1], g[2], g[3], g[4]))
    end
end

local function pump()
    for looked = 1, PUMP_BOUND do
        local ticket = next_head()
        if not ticket then
            return
        end
        local verdict, refusal = choose(ticket)
        local doubt = verdict.wait == 0 and doubt_about(ticket.process) or 0
        if doubt > 0 then
            verdict.wait, verdict.resource, verdict.is_doubt = doubt, "mailbox", true
        end
        if refusal then
            refuse(ticket, refusal, verdict)
        elseif verdict.wait == 0 then
            grant_head(ticket, verdict)
        elseif ticket.at <= pool.now then
            refuse(ticket, "timeout", verdict)
        else
            blocked[ticket.queue] = verdict
            reserve(ticket, verdict)
        end
    end
    pool.unfinished = true
end

-- Stores the tickets of this call that have to wait; who would not wait is denied.
local function store_fresh()
    for queue, tickets in pairs(fresh) do
        for _, ticket in ipairs(tickets) do
            if ticket.at <= pool.now then
                remember_end(ticket, "c")
                refusals[ticket.id] = { "timeout", blocked[queue] or {} }
            else
                write_ticket(ticket, true)
                join_line(ticket)
            end
        end
    end
end

-- Tells the process that owns a blocked head when to call; returns what is armed.
local function arm(queue, head, verdict, armed)
    local wait, wake_at = verdict.wait, pool.now + verdict.wait
    local overdue = armed[1] > 0 and armed[1] < pool.now - OVERDUE_MS
    if head.process == pool.caller or overdue or verdict.is_doubt then
        wakes[#wakes + 1] = { queue, head.id, wait }
        return { wake_at, head.id, pool.caller }
    elseif armed[2] == head.id and armed[1] > 0 and armed[1] <= wake_at then
        return armed
    end
    tell(head.process, 2, string.format('["%s","%s",%.0f]', queue, head.id, wait))
    return { wake_at, head.id, head.process }
end

local function rearm(queue, armed)
    local head, verdict = heads[queue], blocked[queue]
    if head and verdict and verdict.wait then
        return arm(queue, head, verdict, armed)
    elseif head or count_waiting(queue) > 0 then
        return armed
    end
    return nil
end

local function arm_timers()
    if pool.unfinished then
        wakes[1] = { "", "", 0 }
        return
    elseif pool.is_dropping then
        wakes[1] = { "", "", DROP_PAUSE_MS }
    end
    for queue, armed in pairs(pool.queues) do
        local after = rearm(queue, armed)
        if after ~= armed then
            pool.queues[queue], pool.queues_changed = after, true
        end
    end
end
