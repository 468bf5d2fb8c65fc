-- lib/explain_supply: in what time keys can carry so much work. A fluid model: tickets are as large as the
-- mean of theirs, and what is in flight stays about as much as it is now. Reads, changes nothing.
--
-- Sums tell of tickets: {waiting, input, output, predicted}.

local mean_of, used_by, carry, has_holds_in_the_way
do
    -- A ticket as large as the mean of some.
    function mean_of(sums, cold)
        local n = math.max(1, sums.waiting)
        return { input = sums.input / n, output = sums.output / n, predicted = sums.predicted / n, cold = cold }
    end

    -- Units of a bucket that tickets will have consumed: what they reserve, at the learned ratio.
    function used_by(shape, sums, lane, cold)
        local ratio = shape.rule > 0 and learned_ratio(lane, shape.code) or 0
        return need_of(shape, mean_of(sums, cold)) * sums.waiting * (ratio > 0 and ratio or 1)
    end

    -- Milliseconds in which the keys of a plan can carry the work ahead and then the ticket, and the supply
    -- that takes longest. `work` lists what is ahead: {sums, lane, is_same: it draws from this lane's limits too}.
    function carry(plan, work, ticket)
        local longest, binding = plan.opens, nil
        for _, supply in pairs(plan.supplies) do
            local need, units, count = math.min(need_of(supply.shape, ticket), supply.shape.capacity), 0, 0
            for _, part in ipairs(work) do
                if supply.is_shared or part.is_same then
                    units, count = units + used_by(supply.shape, part.sums, part.lane, ticket.cold), count + part.sums.waiting
                end
            end
            local wait = time_for(supply, units, count, need, longest)
            if wait > longest then
                longest, binding = wait, { supply = supply, ahead = units, need = need }
            end
        end
        return longest, binding
    end

    -- True when running calls hold so much on every key that a ticket has to wait until some end.
    function has_holds_in_the_way(plan, ticket)
        for _, supply in pairs(plan.supplies) do
            local shape, most = supply.shape, -NEVER
            for _, source in ipairs(supply.sources) do
                most = math.max(most, shape.capacity - source.bucket.held - source.stake)
            end
            if math.min(need_of(shape, ticket), shape.capacity) > most then
                return true
            end
        end
        return false
    end
end
