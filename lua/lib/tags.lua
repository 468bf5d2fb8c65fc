-- lib/tags: what else moves a flow in the order: its tenant's limits, and what its leases turn out to cost.

-- A flow whose tenant's limits make it wait blocks nobody.
local function park_flow(flow, wait)
    flow.wake = wait < NEVER and pool.now + wait or AT.NEVER
    flow.queue[AT.PARKED] = flow.queue[AT.PARKED] + 1
    flow.is_changed, pool.queues_changed = true, true
end

-- Puts flows back whose time has come, or whose tenant's limits were touched by this call.
local function release_flows()
    for _, name in ipairs(queue_names()) do
        local queue = queue_of(name)
        for tenant in pairs(queue[AT.PARKED] > 0 and pool.touched_tenants or {}) do
            for band = 0, 2 do
                release_flow(flow_of(queue, band, tenant))
            end
        end
        for _, member in ipairs(queue[AT.PARKED] > 0 and range("p|" .. queue[AT.NUMBER], 128) or {}) do
            local wake, band, tenant = string.match(member, "^p|%d+|(%d+)|(%d)|%d+|%d+|([^|]*)|")
            if tonumber(wake) > pool.now then
                break
            end
            release_flow(flow_of(queue, tonumber(band), tenant))
        end
    end
end

-- Applies what ended leases turned out to cost to the tags of their flows.
local function correct_tags()
    for _, correction in ipairs(corrections) do
        local flow = flow_keyed(correction[1])
        if flow and (complete(flow).waiting > 0 or flow.tag > flow.queue[AT.VIRTUAL + flow.band]) then
            flow.tag, flow.is_changed = math.max(0, flow.tag + weighed(flow.tenant, correction[2])), true
        end
    end
    corrections = {}
end
