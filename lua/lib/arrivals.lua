-- lib/arrivals: the new tickets of a call take their places in their flows, and waiting ones that nobody wants any
-- more are withdrawn, in the order of the operations.

local count_at_once, arrive
do
    local function line_up(ticket)
        local queue = queue_of(ticket.queue)
        local flow = flow_of(queue, ticket.band, ticket.tenant)
        local is_behind = pool.is_half_back and redis.call("ZSCORE", KEYS[3], aside(pool.caller, flow.key))
        if not is_behind then                          -- others of its line wait to come back before it
            table.insert(flow.fresh, ticket)
        end
        queue.asked = queue.asked or {}
        table.insert(queue.asked, ticket)
        pool.is_asked = true
        if flow.order == 0 then
            look(flow)
        end
    end

    -- Those that went before anything had to wait count in the order of what waits now.
    function count_at_once()
        for _, ticket in ipairs(granted) do
            local flow = flow_of(queue_of(ticket.queue), ticket.band, ticket.tenant)
            flow.tag = math.max(flow.tag, flow.queue[AT.VIRTUAL + flow.band])
            ticket.flow = flow
            advance_tag(flow, ticket)
        end
    end

    function arrive(later, results)
        for i = 1, #later do
            local call = later[i]
            if call.id then                            -- a new ticket already
                line_up(call)
            elseif call[1] == "e" then
                if not find_ticket(call[2]) then
                    line_up(new_ticket(call))
                end
            elseif call[3].state == "q" then
                --@include lib/cancel
                results[call[2]] = withdraw(call[3])
            end
        end
    end
end
