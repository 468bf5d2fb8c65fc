-- lib/crowd: the choice of a key among many (more than lib/keysets' FEW), at a cost that does not grow with
-- their number (ENGINE.md §4). Where nothing waits the key goes whose turn it is in this call, while much of it is free
-- (lib/turn), else the better of two that are met by chance; when none of them is free, the index is walked, in the order
-- of the earliest moment at which a key can have what is needed.

local SAMPLES = 2              -- the better of two is nearly as good as the best of all

--@include lib/crowd_walk

-- Keys met by chance, the same for all tickets of a call: each call meets others.
local function meet(crowd)
    local names, seed = {}, pool.seq
    for i = 1, SAMPLES do
        seed = (seed * 48271 + i) % 2147483647
        names[i] = string.format("%d", seed % crowd.size + 1)
    end
    return choices_at(crowd, names)
end

-- The key whose turn it is, while much of it is free; else nil.
local function turn_of(crowd, ticket)
    crowd.turn = crowd.turn or choices_at(crowd, { string.format("%d", pool.fence % crowd.size + 1) })
    local choice = crowd.turn[1]
    local verdict = choice and #choice.buckets > 0 and not is_out_of_service(choice) and better(nil, ticket, choice)
    return verdict and verdict.wait == 0 and verdict.room >= MUCH and verdict or nil
end

-- The best of some keys that are in service; the preferred one where it is free.
local function best_of(list, ticket, best)
    for i = 1, #list do
        local choice = list[i]
        if choice and not is_out_of_service(choice) then
            best = better(best, ticket, choice)
            if best.wait == 0 and choice.key == ticket.key then
                return best
            end
        end
    end
    return best
end

-- Keys to whose domains this call has given something back: the index does not know that yet.
local function changed(crowd)
    local names = {}
    for field, record in pairs(records) do
        if record and record.dirty then
            names[#names + 1] = "d|" .. string.match(field, "^(.*)|")
        end
    end
    table.sort(names)
    return choices_at(crowd, names)
end

-- The best of all: none of those that were met is free, or something waits already.
local function search(crowd, ticket, best)
    crowd.changed = crowd.changed or changed(crowd)
    best = best_of(crowd.changed, ticket, best)
    local any = best and best.choice or at_of(crowd, "z|*|0", 1) and choice_at(crowd, "z|*|0", 1)
    best = any and crowd.is_uniform and (best or better(nil, ticket, any))
    if not best or best.refusal then               -- with equal limits, what is too large for one is for all
        return choose_among(ticket, choices_of(ticket.queue))
    end
    local prefix, added = list_for(crowd, ticket, any)
    best = walk(crowd, ticket, best, prefix, added, false)
    return (best.wait == 0 or not crowd.has_used) and best or walk(crowd, ticket, best, prefix, added, true)
end

local function choose_in_crowd(crowd, ticket)
    local best = ticket.key ~= "" and best_of(choices_at(crowd, { "@" .. ticket.key }), ticket, nil) or nil
    if best and best.wait == 0 then
        return best
    elseif not pool.queues[ticket.queue] then
        local verdict = turn_of(crowd, ticket)
        if verdict then
            return verdict
        end
        crowd.met = crowd.met or meet(crowd)
        best = best_of(crowd.met, ticket, best)
    end
    return best and best.wait == 0 and best or search(crowd, ticket, best)
end

-- True when some key of a crowd is as large as the ticket: with equal limits mostly any that was read tells.
local function fits_in_crowd(crowd, ticket)
    local _, any = next(crowd.is_uniform and crowd.choices or {})
    local fits = any and not is_out_of_service(any) and weigh(ticket, any, 0)
    return fits and true or not choose_in_crowd(crowd, ticket).refusal
end
