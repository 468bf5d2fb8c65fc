-- lib/tenants: weights of tenants in the order, and limits of their own (ENGINE.md §4).
--
-- "order" of KEYS[1] = [version or -1, hash, source, [superseded hashes], aging ms, {tenant: weight in
-- thousandths}, {tenant: 1 where it has limits}]. A tenant's limits are one more domain, "tenant:<name>".

local NEVER_WAKES = 9999999999999999   -- by time alone
local AGING, WEIGHTS, LIMITED = 5, 6, 7
local tenancy, weighed, tenant_choice, park_flow, release_flows, correct_tags
do

    function tenancy()
        pool.tenancy = pool.tenancy or read_json(pool.order, { -1, "", "", {}, 30000, {}, {} })
        return pool.tenancy
    end

    -- What a tag advances by for so much of the limits.
    function weighed(tenant, cost)
        return math.floor(cost * 1000 / (tenancy()[WEIGHTS][tenant] or 1000))
    end

    -- The limits of a ticket's tenant, as a choice; nil where it has none.
    function tenant_choice(ticket)
        if not tenancy()[LIMITED][ticket.tenant] then
            return nil
        end
        local domain = "tenant:" .. ticket.tenant
        choices[domain] = choices[domain] or choice_of("", domain, { domain .. "|*" })
        return choices[domain]
    end

    -- A flow whose tenant's limits make it wait blocks nobody.
    function park_flow(flow, wait)
        flow.wake = wait < NEVER and pool.now + wait or NEVER_WAKES
        flow.queue[PARKED] = flow.queue[PARKED] + 1
        flow.is_changed, pool.queues_changed = true, true
    end

    -- Puts flows back whose time has come, or whose tenant's limits were touched by this call.
    function release_flows()
        for _, name in ipairs(queue_names()) do
            local queue = queue_of(name)
            for tenant in pairs(queue[PARKED] > 0 and touched_tenants or {}) do
                for band = 0, 2 do
                    release_flow(flow_of(queue, band, tenant))
                end
            end
            for _, member in ipairs(queue[PARKED] > 0 and range("p|" .. queue[NUMBER], 128) or {}) do
                local wake, band, tenant = string.match(member, "^p|%d+|(%d+)|(%d)|%d+|%d+|([^|]*)|")
                if tonumber(wake) > pool.now then
                    break
                end
                release_flow(flow_of(queue, tonumber(band), tenant))
            end
        end
    end

    -- Applies what ended leases turned out to cost to the tags of their flows.
    function correct_tags()
        for _, correction in ipairs(corrections) do
            local flow = flow_keyed(correction[1])
            if flow and (flow.waiting > 0 or flow.tag > flow.queue[VIRTUAL + flow.band]) then
                flow.tag, flow.is_changed = math.max(0, flow.tag + weighed(flow.tenant, correction[2])), true
            end
        end
        corrections = {}
    end
end
