-- lib/lineup: new tickets take their places in their flows.

local function line_up(ticket)
    local queue = queue_of(ticket.queue)
    local flow = flow_of(queue, ticket.band, ticket.tenant)
    table.insert(flow.fresh, ticket)
    queue.asked = queue.asked or {}
    table.insert(queue.asked, ticket)
    pool.is_asked = true
    if flow.order == 0 then
        look(flow)
    end
end

-- Those that went before anything had to wait count in the order of what waits now.
local function count_at_once()
    for _, ticket in ipairs(at_once) do
        local flow = flow_of(queue_of(ticket.queue), ticket.band, ticket.tenant)
        flow.tag = math.max(flow.tag, flow.queue[AT.VIRTUAL + flow.band])
        ticket.flow = flow
        advance_tag(flow, ticket)
    end
end
