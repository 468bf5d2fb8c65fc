-- lib/parking: the lines of a silent process leave the order until it calls; its tickets keep their
-- places.

local leave_order, unpark
do
    -- Takes all lines of a process out of the order.
    function leave_order(id)
        local keys, heads = lines_of(id)
        send("ZREM", KEYS[3], heads)
        for i = 1, #keys do
            local flow = flow_keyed(keys[i])
            if flow and flow.process == id then
                look(flow)
            end
        end
    end

    -- Puts the lines of a process that calls again back into the order.
    function unpark(id)
        local keys, heads = lines_of(id)
        for i = 1, #keys do
            local flow = flow_keyed(keys[i])
            if flow then
                send("ZADD", KEYS[3], { "0", heads[i] })
                look(flow)
            end
        end
        for i = #pool.parked, 1, -1 do
            if pool.parked[i] == id then
                table.remove(pool.parked, i)
                pool.parked_changed = true
            end
        end
    end
end
