-- lib/parking: the lines of a silent process leave the order until it calls; its tickets keep their
-- places.

local leave_order, unpark
do
    local function flows_with_lines(id)
        local found = {}
        for _, key in ipairs(lines_of(id)) do
            found[#found + 1] = flow_keyed(key)
        end
        return found
    end

    -- Takes all lines of a process out of the order.
    function leave_order(id)
        for _, flow in ipairs(flows_with_lines(id)) do
            local member = head_of_line(id, flow.key)
            send("ZREM", KEYS[3], member and { member } or {})
            if flow.process == id then
                look(flow)
            end
        end
    end

    -- Puts the lines of a process that calls again back into the order.
    function unpark(id)
        for _, flow in ipairs(flows_with_lines(id)) do
            send("ZADD", KEYS[3], { "0", head_of_line(id, flow.key) })
            look(flow)
        end
        for i = #pool.parked, 1, -1 do
            if pool.parked[i] == id then
                table.remove(pool.parked, i)
                pool.parked_changed = true
            end
        end
    end
end
