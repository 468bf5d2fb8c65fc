-- lib/pump: grants from the heads of the queues while they are affordable (ENGINE.md §4).
--
-- Invariants: after the pump each queue is empty or its head is blocked. Within a flow grants come in
-- the order of arrival. A ticket that is not granted changes nothing but its queue.

local examine, go, grant_heads
do
    local open_queues = {}         -- name of a queue -> queue: its head is not known to be blocked

    --@include lib/examination

    -- Grants the head of a flow; `found` is what the queue looked like (lib/bands).
    function go(flow, verdict, found)
        take_off(flow)
        flow.ticket.flow = flow
        grant(flow.ticket, verdict.choice)
        take_turn(flow.queue, flow, found)
        look(flow)
    end

    -- The first to arrive among the heads that are not known to be blocked: its flow, and lib/bands' survey.
    local function next_head()
        local first, found_first = nil, nil
        for name, queue in pairs(open_queues) do
            local flow, found = next_flow(queue)
            if not flow then
                open_queues[name] = nil
            elseif not first or flow.order < first.order then
                first, found_first = flow, found
            end
        end
        return first, found_first
    end

    -- A head that is blocked reserves; a new one may be denied instead.
    local function block(flow, verdict)
        local reason, longer = nil, verdict
        if flow.ticket.is_fresh then
            reason, longer = denial_of(flow.ticket, verdict)
        end
        if reason then
            take_off(flow)
            refuse(flow.ticket, reason, longer, waiting_in(flow.queue))
            look(flow)
        else
            if flow.ticket.is_fresh then
                admit(flow, flow.ticket)
            end
            blocked[flow.queue.name], open_queues[flow.queue.name] = { flow = flow, verdict = verdict }, nil
            reserve(flow.ticket, verdict)
        end
    end

    function grant_heads()
        for name in pairs(pool.queues) do
            open_queues[name] = queue_of(name)
        end
        while pool.bound > 0 do
            local flow, found = next_head()
            if not flow then
                return
            end
            local verdict = examine(flow)
            if verdict and verdict.wait == 0 then
                go(flow, verdict, found)
            elseif verdict then
                block(flow, verdict)
            end
        end
        pool.is_unfinished = true
    end
end
