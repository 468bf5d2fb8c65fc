-- lib/pump: grants from the heads of the queues while they are affordable (ENGINE.md §4).
--
-- Invariants: after the pump each queue is empty or its head is blocked. Within a flow grants come in
-- the order of arrival. A ticket that is not granted changes nothing but its queue.

local examine, go, grant_heads
do
    local open_queues = {}         -- name of a queue -> queue: its head is not known to be blocked

    -- Takes the visible head off its flow, wherever it stands.
    local function take_off(flow)
        local ticket = flow.ticket
        if ticket.is_fresh then
            table.remove(flow.fresh, 1)
            if ticket.is_admitted then
                count_ticket(flow, ticket, -1)
            end
        else
            leave_line(ticket, flow.key)
            count_ticket(flow, ticket, -1)
        end
    end

    -- A ticket that came when nothing was known of the outputs is predicted again once there are samples.
    local function warm_up(flow, ticket)
        local predicted, cold = predict(ticket.topic, ticket.output)
        if cold == 1 then
            return
        elseif not ticket.is_fresh or ticket.is_admitted then
            local line, more = line_of(flow, ticket.process), predicted - ticket.predicted
            complete(flow).predicted, flow.is_changed = flow.predicted + more, true
            line[4], line.is_changed = line[4] + more, true
        end
        ticket.predicted, ticket.cold, ticket.needs = predicted, cold, nil
        touched[ticket.id] = not ticket.is_fresh or touched[ticket.id]
    end

    -- Looks at the head of a flow, and does what can be done with it at once. Nil when that changed something,
    -- else the verdict by which it may go or is blocked.
    function examine(flow)
        bound = bound - 1
        if flow.process ~= pool.caller and is_silent(flow.process) then
            park(flow.process)
            return nil
        end
        flow.ticket = flow.ticket or find_ticket(flow.id)
        local ticket = flow.ticket
        if ticket.cold == 1 then
            warm_up(flow, ticket)
        end
        local verdict, is_own = judge(ticket)
        local doubt = verdict.wait == 0 and doubt_about(ticket.process) or 0
        if doubt > 0 then
            verdict = { choice = verdict.choice, wait = doubt, cause = { resource = "mailbox" }, is_doubt = true }
        end
        if verdict.refusal or ticket.at < pool.lease or (ticket.at == pool.lease and verdict.wait > 0) then
            take_off(flow)
            refuse(ticket, verdict.refusal or "timeout", verdict, 0)
            look(flow)
            return nil
        elseif is_own then
            park_flow(flow, verdict.wait)
            return nil
        end
        return verdict
    end

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
        while bound > 0 do
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
