-- lib/explain_mates: which tickets of other tenants are expected to go before one of the same band: those that
-- the tags of the flows let go first (lib/bands). Reads, changes nothing.

local step_of, gone_by, mates_before
do
    local COST_OF_NOTHING = 1000   -- as lib/taking has it

    -- What a ticket as large as the mean of these advances the tag of its tenant's flow by.
    function step_of(queue, tenant, sums)
        local lane, cost, choice = string.match(queue.name, "^(.*)|[^|]+$"), -1, choices_of(queue.name)[1]
        local one = mean_of(sums, 0)
        one.waiting = 1
        for _, bucket in ipairs(choice and choice.buckets or {}) do
            cost = math.max(cost, cost_of(bucket.shape, used_by(bucket.shape, one, lane, 0)))
        end
        return weighed(tenant, cost >= 0 and cost or COST_OF_NOTHING)
    end

    -- How many of a flow's tickets go before one whose tag will be `tag`.
    function gone_by(flow, tag, step, is_first)
        local gap = tag - (flow.wake and math.max(flow.tag, flow.queue[AT.VIRTUAL + flow.band]) or flow.tag)
        if gap < 0 then
            return 0
        elseif step == 0 then
            return flow.waiting
        end
        return is_first and math.floor(gap / step) + 1 or math.ceil(gap / step)
    end

    -- Of the other flows of its band what their tags let go before the ticket, and in so many ms their tenants'
    -- own limits; whether some have such limits.
    function mates_before(ticket, flow, own, ms)
        local sums, tag = no_tickets(), math.max(flow.tag, is_visible(flow) and 0 or flow.queue[AT.VIRTUAL + flow.band])
        local list, times = flows_in(flow.queue, flow.band)
        local is_limited = false
        tag = tag + (own.waiting > 0 and own.waiting * step_of(flow.queue, flow.tenant, own) or 0)
        for _, mate in ipairs(list) do
            if mate ~= flow then
                mate.step = mate.step or step_of(flow.queue, mate.tenant, mate)
                local most, its = allowed(mate, ms)
                is_limited = is_limited or its
                mate.gone = math.min(most, gone_by(mate, tag, mate.step, mate.order < flow.order))
                add_sums(sums, mate, times * mate.gone)
            end
        end
        return sums, is_limited
    end
end
