-- lib/express_slots: where slots are limited in a domain, how many are free.

local domain = keys[k]
counted = counted or {}
if not counted[domain] then
    counted[domain] = redis.call("ZLEXCOUNT", KEYS[3], "[f|" .. domain .. "|", "(f|" .. domain .. "}")
end
local free = limits[1] - counted[domain] - (moved and moved[domain] or 0)
room = room and free > 0 and math.min(room, (free - 1) / limits[1]) or nil
