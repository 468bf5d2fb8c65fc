-- lib/turn: the key of a ticket before which nothing waits: the one whose turn it is, while much of it is free. Then any
-- is as good, and of the others nothing need be read. (Of keys without limits the one that is least in use is better.)

local MUCH = 1 / 2             -- of the tightest resource

local function choose_in_turn(ticket, list)
    local choice = list[pool.fence % #list + 1]
    local wait, room
    if #choice.buckets > 0 and not is_out_of_service(choice) then
        wait, room = weigh_fully(ticket, choice)
    end
    return wait == 0 and room >= MUCH and { choice = choice, wait = 0 } or choose_among(ticket, list)
end
