-- lib/crowd_walk: finds the key of a crowd that is free first, in the order of lib/crowd_index.

local MOST = 64                -- keys that are not free now, looked at in one walk
local FAR = 9999999999999      -- all slots are taken

--@include lib/crowd_entries
--@include lib/crowd_lists

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

-- Walks a list until no key that is left can be earlier. Keys that this call has used are looked at last, as
-- they are hardly free again; where there are none, once is enough. Of those that are not free now only so many are
-- looked at: one that was not may be free a little earlier than the best; then the next look is at the earliest moment
-- that is left.
local function walk(crowd, ticket, best, prefix, added, includes_used)
    local i, looked_at = 1, 0
    local at = at_of(crowd, prefix, i)
    while at and best.wait > 0 and at + added < math.min(best.wait, FAR - pool.now) do
        local soonest, choice = at + added, choice_at(crowd, prefix, i)
        if looked_at >= MOST then
            return soonest < best.wait and { choice = best.choice, cause = best.cause, wait = soonest } or best
        end
        crowd.has_used = crowd.has_used or choice and choice.is_used
        if choice and (includes_used or not choice.is_used) and not is_out_of_service(choice) then
            best = better(best, ticket, choice)
            looked_at = looked_at + (soonest > 0 and not choice.is_used and 1 or 0)
        end
        i = i + 1
        at = at_of(crowd, prefix, i)
    end
    return best
end
