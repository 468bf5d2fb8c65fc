-- lib/enqueue: new tickets. Idempotent by the ticket's id, which the caller chose.

-- enqueue: {"e", id, key set, lane, input, max output, wait ms, band, tenant, tag, preferred key, max queued}
local function enqueue(op)
    local _, id, keyset, lane, input, output, wait_ms, band, tenant, tag, preferred, max_queued = unpack(op)
    if find_ticket(id) then
        return
    end
    local queue, topic = queue_of(lane .. "|" .. keyset), lane .. "|" .. tag
    local predicted, is_cold = predict(topic, output)
    pool.seq = pool.seq + 1
    local ticket = { id = id, state = "q", process = pool.caller, topic = topic, queue = queue.name, order = pool.seq,
        input = input, output = output, predicted = predicted, cold = is_cold and 1 or 0, enqueued_at = pool.now,
        at = pool.lease + wait_ms, band = BANDS[band], tenant = tenant, key = preferred,
        max_queued = max_queued, is_fresh = true }
    tickets[id] = ticket
    local flow = flow_of(queue, ticket.band, tenant)
    table.insert(flow.fresh, ticket)
    queue.asked = queue.asked or {}
    table.insert(queue.asked, ticket)
    pool.is_asked = true
    if flow.order == 0 then
        look(flow)
    end
end
