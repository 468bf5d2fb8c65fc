-- lib/admission: which new tickets wait, and which are denied.

local denial_of, admit, store_fresh
do
    -- What a ticket waits for behind the blocked head of its queue: what the head does, or more.
    local function verdict_behind(ticket)
        local verdict, head = judge(ticket), blocked[ticket.queue]
        if head and not verdict.refusal and verdict.wait < head.verdict.wait then
            return head.verdict
        end
        return verdict
    end

    -- Whether a new ticket, that cannot go now, is denied: because it does not want to wait, can never go, or
    -- not before its deadline, or because its queue is full. Returns reason and verdict, or nothing.
    function denial_of(ticket, verdict)
        if ticket.at <= pool.lease or not can_fit(ticket) then
            verdict = verdict or verdict_behind(ticket)
            return verdict.refusal or "timeout", verdict
        elseif waiting_in(pool.queues[ticket.queue]) >= ticket.max_queued then
            return "queue_full", {}
        end
        local wait = earliest_start(ticket)
        if ticket.at < pool.lease + wait then
            verdict = verdict or verdict_behind(ticket)
            wait = verdict.wait < NEVER and math.max(wait, verdict.wait) or wait
            return "timeout", { choice = verdict.choice, cause = verdict.cause, wait = wait }
        end
    end

    -- Counts a new ticket among those that wait.
    function admit(flow, ticket)
        if not ticket.is_admitted then
            count_ticket(flow, ticket, 1)
            ticket.is_admitted = true
        end
    end

    -- Admits the new tickets of a queue, or denies them, in order of arrival; those that wait, by flow.
    local function sift(queue)
        local waiting = {}
        for _, ticket in ipairs(queue.asked) do
            local flow = ticket.state == "q" and flow_of(queue, ticket.band, ticket.tenant)
            local reason, verdict = nil, nil
            if flow and not ticket.is_admitted then
                reason, verdict = denial_of(ticket)
            end
            if reason then
                refuse(ticket, reason, verdict, waiting_in(queue))
            elseif flow then
                admit(flow, ticket)
                waiting[flow] = waiting[flow] or {}
                table.insert(waiting[flow], ticket)
            end
        end
        return waiting
    end

    -- Stores the tickets of this call that have to wait.
    function store_fresh()
        for _, name in ipairs(queue_names()) do
            local queue = pool.queues[name]
            for flow, waiting in pairs(queue.asked and sift(queue) or {}) do
                join_line(flow, waiting)
            end
            for _, ticket in ipairs(queue.asked or {}) do
                local flow = flow_of(queue, ticket.band, ticket.tenant)
                if flow.ticket and flow.ticket.state ~= "q" then
                    flow.fresh = {}
                    look(flow)
                end
            end
        end
    end
end
