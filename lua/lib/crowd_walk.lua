-- lib/crowd_walk: finds the key of a crowd that is free first, in the order of lib/crowd_index.

local AT_ONCE, MOST = 4, 64    -- read in one go; looked at in one walk
local FAR = 9999999999999      -- all slots are taken

--@include lib/crowd_entries

-- Keeps the better of two verdicts: where the ticket can go first, or has the most room.
local function better(best, ticket, choice)
    local wait, room, cause = weigh_fully(ticket, choice)
    if not wait then
        return best or { choice = choice, cause = cause, wait = NEVER, refusal = "too_large" }
    elseif not best or best.refusal or wait < best.wait or (wait == best.wait and room > best.room) then
        return { choice = choice, wait = wait, room = room, cause = cause }
    end
    return best
end

-- The ith member of a list: its choice (nil: not a key of this crowd), and the earliest ms in which it can be free
-- for a need that refills in 0 ms. Nothing: the list ends before.
local function member_at(crowd, prefix, i)
    crowd.lists[prefix] = crowd.lists[prefix] or { at = {}, choices = {} }
    local list = crowd.lists[prefix]
    if i > #list.at and not list.is_whole then
        local names, before = {}, #list.at
        for j, member in ipairs(range(prefix, AT_ONCE, before)) do
            local z, domain = string.match(member, "|(%d+)|([^|]+)$")
            list.at[before + j], names[j] = tonumber(z) - pool.now, "d|" .. domain
        end
        for j, choice in ipairs(choices_at(crowd, names)) do
            list.choices[before + j] = choice
        end
        list.is_whole = #names < AT_ONCE
    end
    return list.at[i], list.choices[i]
end

-- Where to walk: of the lists of the index the one whose first member is the latest, when what is needed is
-- added. Returns prefix and what is added, in ms.
local function list_for(crowd, ticket, choice)
    local prefix, added, latest = "z|*|0", 0, -NEVER
    for _, record in ipairs(choice.records) do
        for _, bucket in ipairs(record.buckets) do
            local shape = bucket.shape
            local need = math.min(need_of(shape, ticket), shape.capacity)
            local list = string.format("z|%s|%d", record.domain and "*" or crowd.lane, shape.kind % 100)
            local shift, first = math.floor(need / shape.rate) * shape.tick, member_at(crowd, list, 1)
            local at = first and first + shift or -NEVER
            if at > latest then
                prefix, added, latest = list, shift, at
            end
        end
    end
    local gate = member_at(crowd, "z|*|0", 1)
    if gate and gate > math.max(latest, 0) then
        return "z|*|0", 0
    end
    return prefix, added
end

-- Walks a list until no key that is left can be earlier. Keys that this call has used are looked at last, as
-- they are hardly free again. After so many others it may be that one that was not looked at is free a little
-- earlier than the best: then the next look is at the earliest moment that is left, if that is to come.
local function walk(crowd, ticket, best, prefix, added, includes_used)
    local i, looked_at = 1, 0
    local at, choice = member_at(crowd, prefix, i)
    while at and best.wait > 0 and at + added < math.min(best.wait, FAR - pool.now) do
        if looked_at >= MOST then
            local soonest = at + added
            return soonest > 0 and soonest < best.wait and { choice = best.choice, cause = best.cause, wait = soonest } or best
        end
        if choice and (includes_used or not choice.is_used) and not is_out_of_service(choice) then
            best, looked_at = better(best, ticket, choice), looked_at + (choice.is_used and 0 or 1)
        end
        i = i + 1
        at, choice = member_at(crowd, prefix, i)
    end
    return best
end
