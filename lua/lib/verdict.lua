-- lib/verdict: the key that a ticket may go by now, or where it can go first.
--
-- A verdict is {choice, wait, cause}; `refusal` tells why no key ever can: too_large, no_key.

local choose, fits, reserve
do
    local is_reserved = false      -- some head has reserved something
    local among_many = nil         -- what lib/crowd knows to do, once it is needed

    -- A reservation may begin before the wait is over: then it counts, and the wait is longer.
    local function weigh_fully(ticket, choice)
        if not is_reserved then
            return weigh(ticket, choice, 0)
        end
        local in_ms = 0
        local wait, room, cause = weigh(ticket, choice, in_ms)
        while wait and wait > in_ms and wait < NEVER do
            in_ms = wait
            wait, room, cause = weigh(ticket, choice, in_ms)
        end
        return wait, room, cause
    end

    -- Of some keys the preferred one where it is free, else the one with the most room in its tightest resource,
    -- else the one where the ticket can go first; of equals the first.
    local function choose_among(ticket, list)
        local best, large, wait, room, cause = nil, nil, nil, nil, nil
        for i = 1, #list do
            local choice = list[i]
            if not is_out_of_service(choice) then
                local its_wait, its_room, its_cause = weigh_fully(ticket, choice)
                if not its_wait then
                    large = large or { choice = choice, cause = its_cause, wait = NEVER, refusal = "too_large" }
                elseif its_wait == 0 and choice.key == ticket.key then
                    return { choice = choice, wait = 0 }
                elseif not best or its_wait < wait or (its_wait == wait and its_room > room) then
                    best, wait, room, cause = choice, its_wait, its_room, its_cause
                end
            end
        end
        return best and { choice = best, wait = wait, cause = cause } or large or { wait = NEVER, refusal = "no_key" }
    end

    --@include lib/turn

    -- What chooses among a crowd of keys, and what tells whether one is large enough.
    local function crowds()
        if not among_many then
            --@include lib/crowd
            among_many = { choose = choose_in_crowd, fits = fits_in_crowd }
        end
        return among_many
    end

    -- The key of a ticket's key set that it goes by.
    function choose(ticket)
        local crowd = crowd_of(ticket.queue)
        if crowd then
            return crowds().choose(crowd, ticket)
        end
        local list = choices_of(ticket.queue)
        if #list > 2 and ticket.key == "" and not pool.queues[ticket.queue] then
            return choose_in_turn(ticket, list)
        end
        return choose_among(ticket, list)
    end

    -- True when the limits of some key are as large as the ticket.
    function fits(ticket)
        local crowd = crowd_of(ticket.queue)
        if crowd then
            return crowds().fits(crowd, ticket)
        end
        return fits_somewhere(ticket)
    end

    -- A blocked head keeps later tickets off what it needs, on the key where it can go first: off a
    -- bucket from the moment on from which refill could not make good for it before the head's turn.
    -- (A hold is not consumed, so that no refill makes good for it.)
    function reserve(ticket, verdict)
        is_reserved = true
        for _, bucket in ipairs(verdict.choice.buckets) do
            local shape, need = bucket.shape, need_of(bucket.shape, ticket)
            local refill_ms = ceil_div(promised(bucket, NEVER) + need, shape.rate) * shape.tick
            local refills = verdict.wait < NEVER and shape.rule ~= AS_PRODUCED
            local from_ms = refills and math.max(0, verdict.wait - refill_ms) or 0
            bucket.heads = bucket.heads or {}
            table.insert(bucket.heads, { need = need, from_ms = from_ms })
        end
        for _, record in ipairs(verdict.choice.records) do
            if record.domain then
                promised_slots[record.domain] = (promised_slots[record.domain] or 0) + 1
            end
        end
    end
end
