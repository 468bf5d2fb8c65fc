-- lib/returns: what a process has used by itself while it could not reach this server (ENGINE.md §6).
--
-- A return is {id, {{field, kind, lack, debt, unit}...}, {lease...}}: what its own bucket of each limit ("domain|lane", kind
-- % 100) lacks (below 0: what it was told to lack before, and does not), and how far it is below nothing, in units of which
-- one request, or token, is `unit`; and its leases, as lib/recovery has them. It is carried out once: its id is remembered
-- as that of a ticket that ended.

local carry_out_returns
do
    -- So many units of one measure in another one: no less.
    local function converted(units, from, to)
        local whole = math.floor(units / from)
        return whole * to + ceil_div((units - whole * from) * to, from)
    end

    -- Takes what was used from a bucket; after lost writes, when nothing is left above 0, only the debt.
    local function lower(used, is_survivor)
        local field, kind, lack, debt, unit = unpack(used)
        local units = is_survivor and debt or lack
        local bucket = units ~= 0 and bucket_of({ field = field, kind = kind })
        if bucket then
            give_back(bucket, -converted(units, unit, bucket.shape.unit))
            touch_tenants(field)
        end
    end

    local function ids_of(list)
        local ids = {}
        for i = 1, #list do
            ids[i] = list[i][1]
        end
        return ids
    end

    function carry_out_returns(returns, is_survivor)
        load_tickets(ids_of(returns))
        for _, each in ipairs(returns) do
            local id, used, leases = unpack(each)
            if not find_ticket(id) then
                load_records(ids_of(used))
                load_tickets(ids_of(leases))
                for i = 1, #used do
                    lower(used[i], is_survivor)
                end
                for i = 1, #leases do
                    reassert(leases[i])
                end
                remember_end({ id = id, is_fresh = true }, "c")
            end
        end
    end
end
