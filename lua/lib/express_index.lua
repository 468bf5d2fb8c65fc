-- lib/express_index: where a pool has a crowd, the index of a record's buckets moves, as lib/crowd_index has it.

local domain, lane = string.match(places[r + 2], "^(.*)|([^|]+)$")
local old_level, b = before[r], 3
left, joined, counted, moved = left or {}, joined or {}, counted or {}, moved or {}
for s = 2, #limits, 5 do
    local kind, rate, capacity, tick = limits[s] % 100, limits[s + 1], limits[s + 2], limits[s] % 100 > 10 and 1440 or 1
    local full = capacity >= 16 * limits[s + 3] and capacity * 7 / 8 or capacity
    local available, was = level[b] - level[b + 1], old_level[b] - old_level[b + 1]
    local new = available < full and math.max(0, (floor(now / tick) - floor(available / rate)) * tick) or 0
    local old = was < full and math.max(0, (floor(old_level[2] / tick) - floor(was / rate)) * tick) or 0
    if new ~= old then
        left[#left + 1] = string.format("z|%s|%d|%013d|%s", lane, kind, old, domain)
        joined[#joined + 1], joined[#joined + 2] = "0", string.format("z|%s|%d|%013d|%s", lane, kind, new, domain)
    end
    b = b + 2
end
if lane == "*" and limits[1] > 0 then          -- kind 0: far off while all slots are taken
    local first, last = "[f|" .. domain .. "|", "(f|" .. domain .. "}"
    local count = counted[domain] or redis.call("ZLEXCOUNT", KEYS[3], first, last)
    local old = count >= limits[1] and 9999999999999 or level[1]
    local new = count + (moved[domain] or 0) >= limits[1] and 9999999999999 or level[1]
    if new ~= old then
        left[#left + 1] = string.format("z|*|0|%013d|%s", old, domain)
        joined[#joined + 1], joined[#joined + 2] = "0", string.format("z|*|0|%013d|%s", new, domain)
    end
end
