-- lib/examination: the head of a flow, looked at.

-- Takes the visible head off its flow, wherever it stands.
local function take_off(flow)
    local ticket = flow.ticket
    if ticket.is_fresh then
        table.remove(flow.fresh, 1)
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
    elseif not ticket.is_fresh then
        local line, more = line_of(flow, ticket.process), predicted - ticket.predicted
        complete(flow).predicted, flow.is_changed = flow.predicted + more, true
        line[4], line.is_changed = line[4] + more, true
    end
    ticket.predicted, ticket.cold = predicted, cold
    touched[ticket.id] = not ticket.is_fresh or touched[ticket.id]
end

-- True when no grant may go to the process at the head of a flow. One that is found to be silent is parked; one that
-- leaves is gone, but for what it asks in this call.
local function is_away(flow)
    local id = flow.process
    if id == pool.caller then
        return is_parked(id) and not (flow.ticket and flow.ticket.is_fresh)
    elseif is_silent(id) and not is_parked(id) then
        park(id)
    end
    return is_parked(id)
end

-- Looks at the head of a flow, and does what can be done with it at once. Nil when that changed something,
-- else the verdict by which it may go or is blocked.
function examine(flow)
    pool.bound = pool.bound - 1
    if is_away(flow) then
        set_aside(flow)
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
