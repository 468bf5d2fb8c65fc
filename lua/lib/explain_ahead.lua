-- lib/explain_ahead: which tickets of its queue are expected to go before one: those of its flow that came before
-- it, with those of the other flows of its band (lib/explain_mates) and of other bands (lib/explain_turns). Nobody
-- else is expected to arrive. Reads, changes nothing.

local work_ahead
do
    local PASSES = 12              -- until what limited tenants can have by the start fits to the start

    -- What is expected to be granted before a ticket that starts in about so many ms: its parts and their sum;
    -- whether tenants' own limits had a part in it.
    local function ahead_within(ticket, flow, own, ms, time_of)
        local queue, above, is_limited = flow.queue, no_tickets(), false
        local mates, has_limits = mates_before(ticket, flow, own, ms)
        for band = 0, ticket.band - 1 do
            local theirs, _, its = band_sums(queue, band, ms)
            add_sums(above, theirs, theirs.waiting)
            is_limited = is_limited or its
        end
        local all, count = no_tickets(), own.waiting + mates.waiting
        for _, part in ipairs({ own, mates, above }) do
            add_sums(all, part, part.waiting)
        end
        is_limited = is_limited or has_limits
        local time = (is_limited or has_lower(queue, ticket.band)) and time_of(all) or 0
        local aged, older = aged_lower(queue, ticket, time)
        local higher, turns = higher_before(queue, ticket, above, older + count + 1, time_of)
        higher.share = higher.waiting / math.max(1, above.waiting)
        local lower = lower_before(ticket, queue, aged, older, turns, count, time)
        return { own = own, tenants = mates, higher = higher, lower = lower }, time, is_limited
    end

    -- What is expected to be granted before a ticket: {own, tenants, higher, lower} are sums; `time_of` tells in
    -- what time sums are carried.
    function work_ahead(ticket, flow, time_of)
        local own = own_sums(flow, ticket)
        local parts, time, is_limited = ahead_within(ticket, flow, own, NEVER, time_of)
        for _ = 1, is_limited and PASSES or 0 do
            local before = time
            parts, time = ahead_within(ticket, flow, own, before, time_of)
            if time == before then
                break
            end
        end
        return parts
    end
end
