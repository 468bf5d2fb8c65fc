-- lib/bands: which ticket a queue grants next (ENGINE.md §4). Three bands, strict, but while a lower
-- band's oldest ticket has waited longer than the aging time every eighth grant is its; inside a band the
-- flow with the least tag, of equals the one whose head arrived first.

local first_flow, survey, next_flow, advance_tag, take_turn
do
    local AT_ONCE = 32             -- flows read in one go
    local AGED_TURN = 7            -- so many grants, then one of an aged band

    -- Reads more flows of a band, in their order.
    local function read_flows(queue, band, state)
        local prefix = string.format("t|%d|%d", queue[AT.NUMBER], band)
        local members = redis.call("ZRANGEBYLEX", KEYS[3], state.last and "(" .. state.last or "[" .. prefix .. "|",
            "(" .. prefix .. "}", "LIMIT", 0, AT_ONCE)
        for _, member in ipairs(members) do
            local tag, order, tenant = string.match(member, "^t|%d+|%d|(%d+)|(%d+)|%d+|([^|]*)|")
            state.tag, state.order = tonumber(tag), tonumber(order)
            if not flows[flow_key(queue, band, tenant)] then
                new_flow(queue, band, tenant, state.tag, member)
            end
        end
        state.last, state.has_more = members[#members], #members == AT_ONCE
    end

    local function is_before(flow, tag, order)
        return flow.tag < tag or (flow.tag == tag and flow.order <= order)
    end

    -- The first visible flow of a band, where wanted of those that were not passed over; nil: there is none.
    function first_flow(queue, band, skips_passed)
        local name = string.format("%d|%d", queue[AT.NUMBER], band)
        local state = reading[name] or { has_more = not queue.is_new and queue[AT.WAITING + band] > 0, tag = -1, order = 0 }
        reading[name] = state
        while true do
            local first = nil
            for _, flow in ipairs(loaded[name] or {}) do
                local is_open = is_visible(flow) and not (skips_passed and flow.is_passed)
                if is_open and (not first or is_before(flow, first.tag, first.order)) then
                    first = flow
                end
            end
            if not state.has_more or (first and is_before(first, state.tag, state.order)) then
                return first
            end
            read_flows(queue, band, state)
        end
    end

    -- The order of the oldest visible head of a band if it has waited longer than the aging time.
    local function aged_since(queue, band)
        local oldest = nil
        for _, flow in ipairs(loaded[string.format("%d|%d", queue[AT.NUMBER], band)] or {}) do
            if is_visible(flow) and (not oldest or flow.order < oldest.order) then
                oldest = flow
            end
        end
        return oldest and pool.now - oldest.at > tenancy().aging and oldest.order or nil
    end

    -- {flow: the next in the highest band, aged: the next in that aged band below it whose oldest head came
    -- first, since: the order of that head by aged band}.
    function survey(queue)
        local found = { since = {} }
        for band = 0, 2 do
            local flow = (queue[AT.WAITING + band] > 0 or queue.asked) and first_flow(queue, band)
            if flow and not found.flow then
                found.flow = flow
            elseif flow then
                found.since[band] = aged_since(queue, band)
                if found.since[band] and not (found.aged and found.since[found.aged.band] < found.since[band]) then
                    found.aged = flow
                end
            end
        end
        return found
    end

    -- The flow whose head the queue grants next; nil when none is visible.
    function next_flow(queue)
        local found = survey(queue)
        return found.aged and queue[AT.TURN] >= AGED_TURN and found.aged or found.flow, found
    end

    -- What a grant means for the tag of its flow, and for the virtual time of its band.
    function advance_tag(flow, ticket)
        local virtual = AT.VIRTUAL + flow.band
        flow.queue[virtual] = math.max(flow.queue[virtual], flow.tag)
        flow.tag = flow.tag + weighed(flow.tenant, ticket.cost)
        flow.is_changed, pool.queues_changed = true, true
    end

    -- Counts a grant: while something has aged, each one of another band brings its turn nearer.
    function take_turn(queue, flow, found)
        queue[AT.TURN] = found.aged and not found.since[flow.band] and queue[AT.TURN] + 1 or 0
        advance_tag(flow, flow.ticket)
    end
end
