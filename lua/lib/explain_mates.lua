-- lib/explain_mates: which tickets of other tenants are expected to go before one of the same band: those that
-- the tags of the flows let go first (lib/bands). Reads, changes nothing.

local mates_before
do
    -- What a ticket as large as the mean of these advances the tag of its tenant's flow by.
    local function step_of(queue, tenant, sums)
        local mean, lane, cost = mean_of(sums, 0), string.match(queue.name, "^(.*)|[^|]+$"), 0
        local own = tenant_choice({ tenant = tenant })
        for _, choice in ipairs({ choices_of(queue.name)[1], own }) do
            for _, bucket in ipairs(choice.buckets) do
                local one = { waiting = 1, input = mean.input, output = mean.output, predicted = mean.predicted }
                cost = math.max(cost, cost_of(bucket.shape, used_by(bucket.shape, one, lane, 0)))
            end
        end
        return weighed(tenant, cost > 0 and cost or COST_OF_NOTHING)
    end

    -- How many of a flow's tickets go before one whose tag will be `tag`.
    local function gone_by(flow, tag, step, is_first)
        local gap = tag - flow.tag
        if gap < 0 then
            return 0
        elseif step == 0 then
            return flow.waiting
        end
        return math.min(flow.waiting, is_first and math.floor(gap / step) + 1 or math.ceil(gap / step))
    end

    -- Of the other flows of its band what their tags let go before the ticket.
    function mates_before(ticket, flow, own)
        local sums, tag = no_tickets(), math.max(flow.tag, is_visible(flow) and 0 or flow.queue[VIRTUAL + flow.band])
        tag = tag + (own.waiting > 0 and own.waiting * step_of(flow.queue, flow.tenant, own) or 0)
        local list, times = flows_in(flow.queue, flow.band)
        for _, mate in ipairs(list) do
            if mate ~= flow and tag >= mate.tag then
                local step = step_of(flow.queue, mate.tenant, mate)
                add_sums(sums, mate, times * gone_by(mate, tag, step, mate.order < flow.order))
            end
        end
        return sums
    end
end
