-- lib/express_choice: the key of a new ticket in a step that lib/express takes, as lib/weigh and lib/verdict have it.

local best, best_room, k = nil, nil, 2
-- (1 / 2 below is lib/turn's MUCH.)
local is_turn = (crowd_size or #keys > 4) and preferred == ""         -- the key is looked at whose turn it is
if is_turn and not crowd_size then
    k = fence % (#keys / 2) * 2 + 2
end
while k do
    local room, is_limited = 1, false
    for j = k - 1, k do
        local r = list[j]
        local limits = places[r]
        if limits then
            local level, b = places[r + 1], 3
            if limits ~= asked then
                --@include lib/express_needs
            end
            if level[1] > now then
                room = nil
            elseif j < k and limits[1] > 0 then
                --@include lib/express_slots
            end
            is_limited = is_limited or limits[2]
            for s = 4, room and #limits or 0, 5 do     -- at the capacity
                local c = b + 1
                local spare = level[b] - level[c] - needs[c]
                local share = spare / limits[s]
                if spare < 0 then
                    room = nil
                    break
                elseif share < room then
                    room = share
                end
                b = c + 1
            end
        end
    end
    if not is_limited then
        return nil                 -- no bucket limits it: the key goes that is least in use
    elseif room and (keys[k - 1] == preferred or (is_turn and room >= 1 / 2)) then
        best = k
        break
    elseif not is_turn then
        if room and (not best or room > best_room) then
            best, best_room = k, room
        end
        k = k < #keys and k + 2
    else                               -- little of it is free: the best of all, or of some
        if crowd_size and #keys == 2 then
            --@include lib/express_meeting
        end
        for k = 2, #keys, 2 do
            if (list[k - 1] or 0) == 0 then
                --@include lib/express_places
            end
        end
        if wanted > read then
            --@include lib/express_reading
        end
        k, is_turn = crowd_size and 4 or 2, false
    end
end
