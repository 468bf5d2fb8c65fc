-- lib/explain_turns: what of other bands is expected to go before a ticket: of higher ones all, but for the turns of
-- a band that has aged (lib/bands). Reads, changes nothing.

local has_lower, higher_before, aged_lower, lower_before
do
    local AGED_TURN = 7            -- as lib/bands has it

    function has_lower(queue, band)
        for lower = band + 1, 2 do
            if queue[AT.WAITING + lower] > 0 then
                return true
            end
        end
        return false
    end

    -- How many of higher bands go before the turn of an aged band that so many turns precede: `first` are of the
    -- highest band, `between` came before the ticket to a band between that and its own.
    local function turns_until(needed, first, between)
        local turns = math.floor(first / AGED_TURN)
        if between + needed <= turns then
            return AGED_TURN * (needed + between) + between
        end
        local used = math.min(between, turns)
        return first + used + AGED_TURN * (needed - turns + used)
    end

    -- Of the tickets of higher bands those that go before the one that needs so many turns of aged bands: all, but
    -- for every eighth grant from when its band has aged. Then how many turns there are until then.
    function higher_before(queue, ticket, sums, needed, time_of)
        local _, aged_in = band_sums(queue, ticket.band, NEVER)
        local time = sums.waiting > 0 and aged_in and time_of(sums) or 0
        if time == 0 or aged_in >= time then
            return sums, 0
        end
        local before = math.floor(sums.waiting * aged_in / time) - (aged_in == 0 and queue[AT.TURN] or 0)
        local first = ticket.band == 2 and math.max(0, band_sums(queue, 0, NEVER).waiting - before) or 0
        local wanted = first > 0 and turns_until(needed, first, older_in(queue, 1, ticket)) or AGED_TURN * needed
        local some = no_tickets()
        add_sums(some, sums, math.max(0, math.min(sums.waiting, before + wanted)))
        return some, math.floor((some.waiting - before) / AGED_TURN)
    end

    -- Of the tickets of lower bands that will have aged by then: all, and those that came before the ticket.
    function aged_lower(queue, ticket, time)
        local sums, older = no_tickets(), 0
        for lower = ticket.band + 1, 2 do
            local theirs, aged_in = band_sums(queue, lower, time)
            if theirs.waiting > 0 and aged_in <= time then
                add_sums(sums, theirs, theirs.waiting)
                older = older + older_in(queue, lower, ticket)
                sums.aged_in = math.min(sums.aged_in or aged_in, aged_in)
            end
        end
        return sums, older
    end

    -- Of aged lower bands those that go before the ticket, which has `count` of its own band before it: `turns`
    -- while higher bands go, and every eighth grant then.
    function lower_before(ticket, queue, aged, older, turns, count, time)
        local sums, used = no_tickets(), math.min(older, turns)
        if aged.waiting > 0 then
            local rest = math.max(0, count - turns + used)
            rest = aged.aged_in > 0 and rest * (1 - aged.aged_in / time) or rest + (turns == 0 and queue[AT.TURN] or 0)
            add_sums(sums, aged, math.min(aged.waiting, used + math.floor(rest / AGED_TURN)))
        end
        return sums
    end
end
