-- lib/backfill: while the head of a queue is blocked, other flows may go with what it leaves over
-- (ENGINE.md §4). Nothing overtakes inside a flow.

local fill
do
    local PASSED_OVER = 8          -- flows in one queue that cannot go: then it is left alone

    -- True when a request without tokens could go: else nothing can.
    local function has_leftover(name)
        return choose({ queue = name, input = 0, output = 0, predicted = 0, cold = 0, key = "" }).wait == 0
    end

    -- The first flow of a queue that was not passed over; nil when there is none.
    local function next_open(queue)
        for band = 0, 2 do
            local flow = (queue[AT.WAITING + band] > 0 or queue.asked) and first_flow(queue, band, true)
            if flow then
                return flow
            end
        end
        return nil
    end

    local function fill_queue(queue)
        local passed = 0
        while pool.bound > 0 and passed < PASSED_OVER do
            local flow = next_open(queue)
            if not flow then
                return
            end
            local found = survey(queue)
            local verdict = examine(flow)
            if verdict and verdict.wait == 0 then
                go(flow, verdict, found)
            elseif verdict then
                flow.is_passed, passed = true, passed + 1
            end
        end
    end

    -- The queues with a blocked head, in the order in which those arrived.
    function fill()
        local queues = {}
        for name in pairs(blocked) do
            queues[#queues + 1] = pool.queues[name]
        end
        table.sort(queues, function(a, b)
            return blocked[a.name].flow.order < blocked[b.name].flow.order
        end)
        for _, queue in ipairs(queues) do
            blocked[queue.name].flow.is_passed = true
            if next_open(queue) and has_leftover(queue.name) then
                fill_queue(queue)
            end
        end
    end
end
