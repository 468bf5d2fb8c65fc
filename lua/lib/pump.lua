-- lib/pump: grants from the heads of the queues while they are affordable (ENGINE.md §4).
--
-- Invariants: after the pump each queue is empty or its head is blocked. Within a line grants
-- come in the order of arrival. A ticket that is not granted changes nothing but its queue.

local PUMP_BOUND = 512         -- tickets looked at in one call

local heads = {}               -- queue -> the ticket at its head, or false
local fresh = {}               -- queue -> tickets enqueued by this call, in order
local blocked = {}             -- queue -> verdict on its head
local open_queues = {}         -- queue -> true: its head is not known to be blocked

-- The stored head of a queue, skipping the lines of silent processes.
local function stored_head(queue)
    local id, process = first_of_queue(queue)
    while id and process ~= pool.caller and is_silent(process) do
        park(process)
        id, process = first_of_queue(queue)
    end
    return id and find_ticket(id)
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
    for queue in pairs(open_queues) do
        local head = head_of(queue)
        if head and (not first or head.order < first.order) then
            first = head
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

local function pump()
    for _, queues in ipairs({ pool.queues, fresh }) do
        for queue in pairs(queues) do
            open_queues[queue] = true
        end
    end
    for _ = 1, PUMP_BOUND do
        local ticket = next_head()
        if not ticket then
            return
        end
        local verdict = choose(ticket)
        local doubt = verdict.wait == 0 and doubt_about(ticket.process) or 0
        if doubt > 0 then
            verdict.wait, verdict.cause, verdict.is_doubt = doubt, { resource = "mailbox" }, true
        end
        if verdict.refusal or ticket.at < pool.lease or (ticket.at == pool.lease and verdict.wait > 0) then
            unqueue(ticket)
            refuse(ticket, verdict.refusal or "timeout", verdict)
        elseif verdict.wait == 0 then
            unqueue(ticket)
            grant(ticket, verdict.choice)
        else
            blocked[ticket.queue], open_queues[ticket.queue] = verdict, nil
            reserve(ticket, verdict)
        end
    end
    pool.unfinished = true
end
