-- lib/projection: when a ticket can start at the earliest (ENGINE.md §4). Only what is sure counts: the
-- tickets of its own process in its flow before it, at the learned ratio of actual to reserved, and every unit that the
-- keys of its queue can have by then.

local earliest_for, earliest_start
do
    local supplies = {}            -- queue -> {"lane|code|tick" -> supply}, of limits that every key has

    --@include lib/supplies

    -- Milliseconds in which the keys of a queue have what tickets with these sums need at least, and the
    -- supply that binds.
    function earliest_for(name, sums)
        local longest, binding = 0, nil
        for _, supply in pairs(supplies_of(name)) do
            local shape = supply.shape
            local deficit = sure_need(shape, sums, supply.ratio) - supply.units
            if deficit > 0 then
                local wait = (math.floor(pool.now / shape.tick) + ceil_div(deficit, supply.rate)) * shape.tick - pool.now
                if wait > longest then
                    longest, binding = wait, supply
                end
            end
        end
        return longest, binding
    end

    --@include lib/crowd_bound

    -- True when a ticket needs more than some bucket of its queue's keys can hold: it goes into debt, and
    -- what comes before it may start earlier than the sums tell.
    local function is_large(ticket, list)
        for _, choice in ipairs(list) do
            for _, bucket in ipairs(choice.buckets) do
                if need_of(bucket.shape, ticket) > bucket.shape.capacity then
                    return true
                end
            end
        end
        return false
    end

    -- The lower bound of a new ticket's start. Of what waits before it only its own process's tickets are
    -- sure to stay: another process may end, and its tickets with it.
    function earliest_start(ticket)
        local crowd = crowd_of(ticket.queue)
        local _, any = next(crowd and crowd.is_uniform and crowd.choices or {})
        if crowd and not any then                  -- the sums of so many unlike keys are not kept
            return 0
        end
        local list = crowd and { any } or choices_of(ticket.queue)     -- any was read: all have the same limits
        local line = line_of(flow_of(pool.queues[ticket.queue], ticket.band, ticket.tenant), ticket.process)
        line[5] = line[5] == 0 and is_large(ticket, list) and 1 or line[5]
        if line[5] == 1 then
            return 0
        end
        local sums = { waiting = line[1] + 1, input = line[2] + ticket.input, output = line[3] + ticket.output,
            predicted = line[4] + ticket.predicted }
        return crowd and earliest_in_crowd(crowd, list[1], ticket, sums) or (earliest_for(ticket.queue, sums))
    end
end
