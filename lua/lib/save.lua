-- lib/save: all that a call changed is written at its end; nothing is decided any more. Every Redis key has a TTL,
-- and holds one thing with an empty name: none is ever emptied, to come anew without a TTL.

local save, touch
do
    local TOUCH_MS = 1000
    local POOL_TTL_MS = 2592000000         -- 30 days: limits, and levels of day limits
    local LATEST = "4503599627370496"      -- later than any lease

    --@include lib/layouts
    --@include lib/outages
    --@include lib/changed_fields

    local function save_tickets()
        local live, over = {}, {}
        for id in pairs(touched) do
            local ticket = tickets[id]
            if ticket.state == "q" or ticket.state == "g" then
                live[#live + 1] = id
                live[#live + 1] = encode_ticket(ticket)
            elseif not ticket.is_fresh then
                over[#over + 1] = id
            end
        end
        send("HSET", KEYS[2], live)
        send("HDEL", KEYS[2], over)
        send("HSET", generation(0), ended)
    end

    -- A lease that ended after it was reported in the same call is not due any more.
    local function save_index()
        local due = {}
        for i = 1, #renewed, 2 do
            local ticket = tickets[renewed[i + 1]]
            if not ticket or ticket.state == "g" then
                due[#due + 1] = renewed[i]
                due[#due + 1] = renewed[i + 1]
            end
        end
        send("ZREM", KEYS[3], left)
        send("ZADD", KEYS[3], joined)
        send("ZREM", KEYS[4], freed)
        send("ZADD", KEYS[4], due)
    end

    --@include lib/lifetimes

    function save()
        if pool.has_outlived then
            --@include lib/forgetting
            forget_flows()
        end
        local is_due = pool.now - pool.touched >= TOUCH_MS
        pool.touched = is_due and pool.now or pool.touched
        if pool.has_crowd == 1 then
            --@include lib/crowd_index
            index_records(pool.is_new_crowd)
        end
        save_records()
        save_tickets()
        save_index()
        if is_due then
            touch()
        end
    end
end
