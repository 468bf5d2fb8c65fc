-- lib/enqueue: new tickets. Idempotent by the ticket's id, which the caller chose.

-- enqueue: {"e", id, key set, lane, input, max output, wait ms, band, tenant, tag, preferred key, max queued}
local function enqueue(op)
    local _, id, keyset, lane, input, output, wait_ms, band, tenant, tag, preferred, max_queued = unpack(op)
    if find_ticket(id) then
        return
    end
    local queue, topic = lane .. "|" .. keyset, lane .. "|" .. tag
    local predicted, is_cold = predict(topic, output)
    pool.seq = pool.seq + 1
    local ticket = { id = id, state = "q", process = pool.caller, topic = topic, queue = queue, order = pool.seq, input = input,
        output = output, predicted = predicted, cold = is_cold and 1 or 0, enqueued_at = pool.now,
        at = pool.lease + wait_ms, band = band, tenant = tenant, key = preferred,
        max_queued = max_queued, is_fresh = true }
    tickets[id] = ticket
    fresh[queue] = fresh[queue] or {}
    table.insert(fresh[queue], ticket)
end

-- What a ticket behind the head waits for: what the head does, or more.
local function verdict_behind(head_verdict, ticket)
    local verdict = choose(ticket)
    if head_verdict and not verdict.refusal and verdict.wait < head_verdict.wait then
        return head_verdict
    end
    return verdict
end

-- Stores the tickets of this call that have to wait. Denied are those that would not wait, that can
-- never go, or whose queue is full.
local function store_fresh()
    for queue, list in pairs(fresh) do
        local waiting, before = {}, pool.queues[queue] and #list > 0 and count_waiting(queue) or 0
        for _, ticket in ipairs(list) do
            if ticket == heads[queue] and before < ticket.max_queued then
                waiting[1] = ticket
            elseif ticket.at <= pool.lease or not fits_somewhere(ticket) then
                local verdict = verdict_behind(blocked[queue], ticket)
                refuse(ticket, verdict.refusal or "timeout", verdict)
            elseif before + #waiting >= ticket.max_queued then
                refuse(ticket, "queue_full", {})
            else
                waiting[#waiting + 1] = ticket
            end
        end
        if #waiting > 0 then
            join_line(queue, waiting)
        end
    end
end
