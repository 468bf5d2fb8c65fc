-- lib/verdict: the key that a ticket may go by now, or where it can go first.
--
-- A verdict is {choice, wait, room, cause}; `refusal` tells why no key ever can: too_large, no_key.

local is_reserved = false      -- some head has reserved something

-- A reservation may begin before the wait is over: then it counts, and the wait is longer.
local function weigh_fully(ticket, choice)
    local in_ms = 0
    local wait, room, cause = weigh(ticket, choice, in_ms)
    while is_reserved and wait and wait > in_ms and wait < NEVER do
        in_ms = wait
        wait, room, cause = weigh(ticket, choice, in_ms)
    end
    return wait, room, cause
end

-- The preferred key where it is free, else the one with the most room in its tightest resource,
-- else the one where the ticket can go first; of equals the first.
local function choose(ticket)
    local best, large = nil, nil
    for _, choice in ipairs(choices_of(ticket.queue)) do
        if not is_out_of_service(choice) then
            local wait, room, cause = weigh_fully(ticket, choice)
            if not wait then
                large = large or { choice = choice, cause = cause, wait = NEVER, refusal = "too_large" }
            elseif wait == 0 and choice.key == ticket.key then
                return { choice = choice, wait = 0 }
            elseif not best or wait < best.wait or (wait == best.wait and room > best.room) then
                best = { choice = choice, wait = wait, room = room, cause = cause }
            end
        end
    end
    return best or large or { wait = NEVER, refusal = "no_key" }
end

-- A blocked head keeps later tickets off what it needs, on the key where it can go first: off a
-- bucket from the moment on from which refill could not make good for it before the head's turn.
local function reserve(ticket, verdict)
    is_reserved = true
    for _, record in ipairs(verdict.choice.records) do
        for _, bucket in ipairs(record.buckets) do
            local shape, need = bucket.shape, need_of(bucket.shape, ticket)
            local refill_ms = ceil_div(promised(bucket, NEVER) + need, shape.rate) * shape.tick
            local from_ms = verdict.wait < NEVER and math.max(0, verdict.wait - refill_ms) or 0
            bucket.heads = bucket.heads or {}
            table.insert(bucket.heads, { need = need, from_ms = from_ms })
        end
        if record.domain then
            promised_slots[record.domain] = (promised_slots[record.domain] or 0) + 1
        end
    end
end
