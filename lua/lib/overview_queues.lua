-- lib/overview_queues: what waits, as tables, for people.

local BAND_NAMES = { [0] = "interactive", [1] = "normal", [2] = "batch" }

-- A ticket that waits, and what it waits for.
local function ticket_view(ticket, verdict)
    local wait, resource, key, need, level, most, tick = binding_of(verdict)
    return { ticket = ticket.id, process = ticket.process, band = BAND_NAMES[ticket.band], tenant = ticket.tenant,
        tag = string.match(ticket.topic, "([^|]*)$"), waited_ms = pool.now - ticket.enqueued_at, input = ticket.input,
        output = ticket.output, deadline_ms = ticket.at - pool.lease, key = key, wait_ms = wait >= 0 and wait or nil,
        refusal = verdict.refusal, resource = resource, tick_ms = most > 0 and tick or nil,
        need = most > 0 and need or nil, level = most > 0 and level or nil, limit = most > 0 and most or nil }
end

-- The ticket that a queue grants next, and what it waits for.
local function head_view(queue)
    local flow = next_flow(queue)
    local ticket = flow and find_ticket(flow.id)
    return ticket and ticket_view(ticket, (judge(ticket))) or nil
end

-- What waits in a queue by band and tenant: the first flows of each band, and some that wait for the limit
-- of their tenant.
local function flow_views(queue)
    local views = {}
    for _, member in ipairs(range("p|" .. queue[AT.NUMBER], 16)) do
        local band, tenant = string.match(member, "^p|%d+|%d+|(%d)|%d+|%d+|([^|]*)|")
        flow_of(queue, tonumber(band), tenant)
    end
    for _, flow in pairs(flows) do
        if flow.queue == queue and complete(flow).waiting > 0 then
            views[#views + 1] = { band = BAND_NAMES[flow.band], tenant = flow.tenant, waiting = flow.waiting,
                waited_ms = flow.order > 0 and pool.now - flow.at or nil, is_parked = flow.wake ~= nil,
                wake_ms = flow.wake and flow.wake < AT.NEVER and math.max(0, flow.wake - pool.now) or nil }
        end
    end
    return views
end

local function queue_views()
    local views = {}
    for _, name in ipairs(queue_names()) do
        local queue, lane, keyset = queue_of(name), string.match(name, "^(.*)|([^|]+)$")
        local head = head_view(queue)
        views[#views + 1] = { lane = lane, keyset = keyset, waiting = waiting_in(queue), head = head,
            armed_by = queue[3], armed_ms = queue[1] > 0 and queue[1] - pool.now or nil, flows = flow_views(queue),
            bands = { interactive = queue[AT.WAITING], normal = queue[AT.WAITING + 1], batch = queue[AT.WAITING + 2] } }
    end
    return views
end
