-- lib/timers: who calls again, and when (ENGINE.md §4). Only the process that owns a blocked head
-- arms a timer for it; one that is overdue is armed by the next caller.

local arm_timers
do
    local DROP_PAUSE_MS = 20       -- until the next part of a dead process's tickets is dropped
    local OVERDUE_MS = 50          -- a timer this late: the next caller is told to arm it

    -- Of the flows that wait for their tenant's limit the one that wakes first: wake, band, order, process
    -- and ticket of its head.
    local function first_parked(queue)
        local found = { AT.NEVER, 0, 0 }
        local function look_at(parked)
            for i = 1, 3 do
                if parked[i] ~= found[i] then
                    found = parked[i] < found[i] and parked or found
                    return
                end
            end
        end
        local known = 0
        for _, flow in pairs(flows) do
            known = known + (flow.queue == queue and 1 or 0)
            if flow.queue == queue and flow.wake then
                look_at({ flow.wake, flow.band, flow.order, flow.process, flow.id })
            end
        end
        for _, member in ipairs(queue.is_new and {} or range("p|" .. queue[AT.NUMBER], known + 1)) do
            local wake, band, order, tenant, process, id =
                string.match(member, "^p|%d+|(%d+)|(%d)|(%d+)|%d+|([^|]*)|([^|]+)|([^|]+)$")
            if not flows[flow_key(queue, tonumber(band), tenant)] then
                look_at({ tonumber(wake), tonumber(band), tonumber(order), process, id })
            end
        end
        return found
    end

    -- What the timer of a queue is for: ticket id, process, wait ms, whether it is in doubt; nil for nothing.
    local function next_wake(name, queue)
        local id, process, wait, is_doubt = nil, nil, NEVER, false
        local head = blocked[name]
        if head and head.verdict.wait < NEVER then
            id, process, wait, is_doubt = head.flow.id, head.flow.process, head.verdict.wait, head.verdict.is_doubt
        end
        if queue[AT.PARKED] > 0 then
            local parked = first_parked(queue)
            if parked[1] < AT.NEVER and parked[1] - pool.now < wait then
                return parked[5], parked[4], parked[1] - pool.now, false
            end
        end
        return id, process, wait, is_doubt
    end

    -- Tells somebody to call when a ticket can go; returns wake_at, ticket and process of what is armed.
    local function arm(name, armed, id, process, wait, is_doubt)
        local wake_at = pool.now + wait
        local is_overdue = armed[1] > 0 and armed[1] < pool.now - OVERDUE_MS
        local is_armed = armed[2] == id and armed[1] > 0 and armed[1] <= wake_at and not is_overdue
        local text = string.format('["%s","%s",%d]', name, id, wait)
        if process == pool.caller or is_overdue or (is_doubt and not is_armed) then
            wakes[#wakes + 1] = text
            return wake_at, id, pool.caller
        elseif is_armed then
            return armed[1], armed[2], armed[3]
        end
        tell(process, 2, text)
        return wake_at, id, process
    end

    function arm_timers()
        if pool.is_unfinished then
            wakes[1] = '["","",0]'
            return
        elseif pool.is_dropping then
            wakes[1] = string.format('["","",%d]', DROP_PAUSE_MS)
        end
        for name, queue in pairs(pool.queues) do
            local id, process, wait, is_doubt = next_wake(name, queue)
            local at, ticket, armed_by = 0, "", ""
            if id then
                at, ticket, armed_by = arm(name, queue, id, process, wait, is_doubt)
            end
            if at ~= queue[1] or ticket ~= queue[2] or armed_by ~= queue[3] then
                queue[1], queue[2], queue[3], pool.queues_changed = at, ticket, armed_by, true
            end
        end
    end
end
