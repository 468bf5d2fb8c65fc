-- lib/closing: a queue in which nothing waits is no more, and neither is what was known of its flows. Of many empty flows
-- some are forgotten with each call, and the queue stays until the last of them.

local FORGOTTEN = 250          -- empty flows that are forgotten in one call

local function close_queue(queue)
    local empty = queue.is_new and {} or range("e|" .. queue[AT.NUMBER], FORGOTTEN)
    forget_empty(queue, empty, NEVER)
    if #empty == FORGOTTEN then
        pool.is_unfinished = true
        return
    end
    for _, flow in pairs(flows) do
        if flow.queue == queue then
            flow.is_changed, flow.tag, flow.order, flow.waiting = true, 0, 0, 0
        end
    end
    pool.queues[queue.name], pool.queues_changed = nil, true
end

function close_queues()
    for _, name in ipairs(queue_names()) do
        if waiting_in(pool.queues[name]) == 0 then
            close_queue(queue_of(name))
        end
    end
end
