-- lib/flows: a flow is what one tenant has waiting in one band of a queue, in order of arrival; its tag
-- is its place among the flows of the band (start-time fair queueing, ENGINE.md §4).
--
-- "flow|<number>|<band>|<tenant>" of KEYS[1] = [tag, waiting, input, output, predicted, member]: sums over
-- what waits, and the member of KEYS[3] that tells its place:
--   t|number|band|tag|order|enqueued_at|tenant|process|id       in the order, by its visible head
--   p|number|wake_at|band|order|enqueued_at|tenant|process|id   waits for its tenant's limit
--   e|number|band|tag|tenant                                    empty, its tag ahead of the virtual time

local reading = {}             -- "number|band" -> how far its order was read: {last, tag, order, has_more}
local lines = {}               -- "process|flow" -> sums over the line of a process
local loaded = {}              -- "number|band" -> the flows of that band among them
local flows = {}               -- "number|band|tenant" -> flow: all that were looked at in this call
local flow_key, new_flow, complete, flow_of, flow_keyed, is_visible, release_flow, look
do
    local NO_FLOW = { 0, 0, 0, 0, 0, "" }

    function flow_key(queue, band, tenant)
        return string.format("%d|%d|%s", queue[AT.NUMBER], band, tenant)
    end

    -- A flow as its member tells it.
    function new_flow(queue, band, tenant, tag, member)
        local list, key = string.format("%d|%d", queue[AT.NUMBER], band), flow_key(queue, band, tenant)
        local flow = { queue = queue, band = band, tenant = tenant, key = key, tag = tag, member = member, order = 0, fresh = {} }
        local order, at, process, id = string.match(member, "|(%d+)|(%d+)|[^|]*|([^|]+)|([^|]+)$")
        if order then
            flow.order, flow.at, flow.process, flow.id = tonumber(order), tonumber(at), process, id
            flow.wake = tonumber(string.match(member, "^p|%d+|(%d+)") or nil)
        end
        flows[key], loaded[list] = flow, loaded[list] or {}
        table.insert(loaded[list], flow)
        return flow
    end

    local function read_flow(queue, key)
        return not queue.is_new and read_json(redis.call("HGET", KEYS[1], "flow|" .. key), nil) or NO_FLOW
    end

    -- Reads the sums of a flow of which only the member was known.
    function complete(flow)
        if not flow.waiting then
            local _, waiting, input, output, predicted = unpack(read_flow(flow.queue, flow.key))
            flow.waiting, flow.input, flow.output, flow.predicted = waiting, input, output, predicted
        end
        return flow
    end

    -- The flow of a tenant in a band of a queue; one that nothing is known of begins with tag 0.
    function flow_of(queue, band, tenant)
        local key = flow_key(queue, band, tenant)
        if not flows[key] then
            local tag, waiting, input, output, predicted, member = unpack(read_flow(queue, key))
            local flow = new_flow(queue, band, tenant, tag, member)
            flow.waiting, flow.input, flow.output, flow.predicted = waiting, input, output, predicted
        end
        return flows[key]
    end

    -- The flow of a key; nil when its queue is no more.
    function flow_keyed(key)
        local number, band, tenant = string.match(key, "^(%d+)|(%d)|(.*)$")
        local queue = queue_numbered(tonumber(number))
        return queue and flow_of(queue, tonumber(band), tenant)
    end

    function is_visible(flow)
        return flow.order > 0 and not flow.wake
    end

    -- Ends the wait for a tenant's limit. What was left unused meanwhile is not reclaimed.
    function release_flow(flow)
        if flow.wake then
            flow.wake, flow.queue[AT.PARKED] = nil, flow.queue[AT.PARKED] - 1
            flow.tag = math.max(flow.tag, flow.queue[AT.VIRTUAL + flow.band])
            flow.is_changed, pool.queues_changed = true, true
        end
    end

    -- Finds the visible head of a flow anew: the first head of a line, else the first ticket of this call. A
    -- new head is not known to be blocked.
    function look(flow)
        local was_visible = flow.order > 0
        local member, ticket = (flow.has_lines or not flow.queue.is_new) and range("h|" .. flow.key, 1)[1], flow.fresh[1]
        ticket = member and find_ticket(string.match(member, "([^|]+)$")) or ticket
        if not ticket or ticket.id ~= flow.id then
            release_flow(flow)
        end
        flow.ticket, flow.order, flow.is_changed = ticket, ticket and ticket.order or 0, true
        if ticket then
            flow.at, flow.process, flow.id = ticket.enqueued_at, ticket.process, ticket.id
            flow.tag = was_visible and flow.tag or math.max(flow.tag, flow.queue[AT.VIRTUAL + flow.band])
        end
    end
end

--@include lib/sums
