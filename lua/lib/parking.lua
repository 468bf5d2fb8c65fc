-- lib/parking: the lines of a silent process leave the order until it calls; its tickets keep their places. They are set
-- aside one by one, as their heads are met, and put back in parts: no step moves more than some of them.

pool.moves = 24                -- lines that this call still puts back, or drops: lib/dropping
local set_aside, bring_back
do
    local COST_OF_MOVE = 20        -- of what this call still looks at: lib/judgement

    -- Sets the line at the head of a flow aside.
    function set_aside(flow)
        redis.call("ZREM", KEYS[3], string.format("h|%s|%016d|%s|%s", flow.key, flow.order, flow.process, flow.id))
        redis.call("ZADD", KEYS[3], "0", aside(flow.process, flow.key))
        pool.bound = pool.bound - COST_OF_MOVE
        pool.is_unfinished = pool.is_unfinished or pool.bound <= 0
        look(flow)
    end

    -- Who waits for the limit of its tenant behind a line of a silent process does not wait for its sake.
    local function set_limited_aside()
        for _, name in ipairs(#pool.parked > 0 and queue_names() or {}) do
            local queue = queue_of(name)
            for _, member in ipairs(queue[AT.PARKED] > 0 and range("p|" .. queue[AT.NUMBER], 128) or {}) do
                local band, tenant, process = string.match(member, "^p|%d+|%d+|(%d)|%d+|%d+|([^|]*)|([^|]+)|")
                local flow = pool.bound > 0 and is_parked(process) and flow_of(queue, tonumber(band), tenant)
                if flow and flow.wake then         -- with the same head
                    set_aside(flow)
                end
            end
        end
    end

    -- Puts some lines of a process back into the order; true when none is left that is set aside.
    local function put_back(id)
        local members, most = range("s|" .. id, pool.moves), pool.moves
        for _, member in ipairs(members) do
            local key = string.sub(member, #id + 4)
            local head, flow = head_of_line(id, key), flow_keyed(key)
            redis.call("ZREM", KEYS[3], member)
            if head and flow then
                redis.call("ZADD", KEYS[3], "0", head)
                look(flow)
            end
        end
        pool.moves = most - #members
        return #members < most
    end

    -- Brings processes that call again back; while lines of some are still set aside, somebody must call at once.
    function bring_back()
        for i = #pool.parked, 1, -1 do
            local id = pool.parked[i]
            if not is_silent(id) then
                if put_back(id) then
                    table.remove(pool.parked, i)
                    pool.parked_changed = true
                else
                    pool.is_unfinished, pool.is_half_back = true, pool.is_half_back or id == pool.caller
                end
            end
        end
        set_limited_aside()
    end
end
