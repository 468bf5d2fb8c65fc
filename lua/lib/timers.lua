-- lib/timers: who calls again, and when (ENGINE.md §4). Only the process that owns a blocked head
-- arms a timer for it; one that is overdue is armed by the next caller.

local DROP_PAUSE_MS = 20       -- until the next part of a dead process's tickets is dropped
local OVERDUE_MS = 50          -- a timer this late: the next caller is told to arm it
local IDLE = { 0, "", "" }     -- a queue without a timer

-- Tells somebody to call when a head can go; returns what is armed: {wake_at, ticket, process}.
local function arm(queue, head, verdict, armed)
    local wake_at = pool.now + verdict.wait
    local is_overdue = armed[1] > 0 and armed[1] < pool.now - OVERDUE_MS
    local is_armed = armed[2] == head.id and armed[1] > 0 and armed[1] <= wake_at and not is_overdue
    if head.process == pool.caller or is_overdue or (verdict.is_doubt and not is_armed) then
        wakes[#wakes + 1] = string.format('["%s","%s",%d]', queue, head.id, verdict.wait)
        return is_armed and armed[1] == wake_at and armed[3] == pool.caller and armed
            or { wake_at, head.id, pool.caller }
    elseif is_armed then
        return armed
    end
    tell(head.process, 2, string.format('["%s","%s",%d]', queue, head.id, verdict.wait))
    return { wake_at, head.id, head.process }
end

-- What is armed for a queue from now on; nil when nothing waits in it.
local function rearm(queue, armed)
    local head, verdict = heads[queue], blocked[queue]
    if head and verdict and verdict.wait < NEVER then
        return arm(queue, head, verdict, armed)
    elseif head or count_waiting(queue) > 0 then
        return armed[1] > 0 and IDLE or armed
    end
    return nil
end

local function arm_timers()
    if pool.unfinished then
        wakes[1] = '["","",0]'
        return
    elseif pool.is_dropping then
        wakes[1] = string.format('["","",%d]', DROP_PAUSE_MS)
    end
    for queue, armed in pairs(pool.queues) do
        local after = rearm(queue, armed)
        if after ~= armed then
            pool.queues[queue], pool.queues_changed = after, true
        end
    end
end
