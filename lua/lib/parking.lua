-- lib/parking: the lines of a silent process leave the order until it calls; its tickets keep their
-- places.

-- Takes all lines of a process out of the order; its tickets keep their places.
local function leave_order(id)
    for _, queue in ipairs(queue_names()) do
        local member = head_of_line(queue, id)
        remove("ZREM", KEYS[3], member and { member } or {})
    end
end

-- Puts the lines of a process that calls again back into the order.
local function unpark(id)
    for _, queue in ipairs(queue_names()) do
        local member = head_of_line(queue, id)
        add("ZADD", KEYS[3], member and { "0", member } or {})
    end
    for i = #pool.parked, 1, -1 do
        if pool.parked[i] == id then
            table.remove(pool.parked, i)
            pool.parked_changed = true
        end
    end
end
