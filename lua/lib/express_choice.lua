-- lib/express_choice: the key of a new ticket in a step that lib/express takes, as lib/weigh and lib/verdict have it.

local list, best, best_room = choices[lane], nil, nil
if not list then
    list = {}
    for k = 2, #keys, 2 do
        local shared, own = records[keys[k] .. "|*"], lane ~= "*" and records[keys[k] .. "|" .. lane]
        if not (shared and shared.shape[2] or own and own.shape[2]) then
            return nil             -- no bucket limits it: the key goes that is least in use
        end
        list[k - 1], list[k] = shared or own, shared and own
    end
    choices[lane] = list
end
for k = 2, #keys, 2 do
    local room = 1
    for r = k - 1, k do
        local record = list[r]
        local shape = record and record.shape
        if shape and shape.asked_by ~= i then
            --@include lib/express_needs
        end
        if record and record[1] > now then
            room = nil
        elseif record and record.slots > 0 then
            local domain = keys[k]
            local first, last = "[f|" .. domain .. "|", "(f|" .. domain .. "}"
            counted[domain] = counted[domain] or redis.call("ZLEXCOUNT", KEYS[3], first, last)
            local free = record.slots - counted[domain] - (moved[domain] or 0)
            room = room and free > 0 and math.min(room, (free - 1) / record.slots) or nil
        end
        for n = 1, shape and room and #shape.needs or 0 do
            local spare = record[2 * n + 1] - record[2 * n + 2] - shape.needs[n] - shape.stakes[n]
            local share = spare / shape[5 * n - 1]
            room = spare >= 0 and room and (share < room and share or room) or nil
        end
    end
    if room and keys[k - 1] == preferred then
        best = k
        break
    elseif room and (not best or room > best_room) then
        best, best_room = k, room
    end
end
