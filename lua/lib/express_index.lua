-- lib/express_index: where a pool has a crowd, the index of a record's buckets moves, as lib/crowd_index has it.

local shape, b = record.shape, 3
local domain, lane = string.match(wanted[i], "^(.*)|([^|]+)$")
for s = 2, #shape, 5 do
    local kind, rate, capacity, tick = shape[s] % 100, shape[s + 1], shape[s + 2], shape[s] % 100 > 10 and 1440 or 1
    local full = capacity >= 16 * shape[s + 3] and capacity * 7 / 8 or capacity
    local available, before = record[b] - record[b + 1], record.before[b] - record.before[b + 1]
    local new = available < full and math.max(0, (floor(now / tick) - floor(available / rate)) * tick) or 0
    local old = before < full and math.max(0, (floor(record.before[2] / tick) - floor(before / rate)) * tick) or 0
    if new ~= old then
        left[#left + 1] = string.format("z|%s|%d|%013d|%s", lane, kind, old, domain)
        joined[#joined + 1], joined[#joined + 2] = "0", string.format("z|%s|%d|%013d|%s", lane, kind, new, domain)
    end
    b = b + 2
end
if record.slots > 0 then           -- kind 0: far off while all slots are taken
    local first, last = "[f|" .. domain .. "|", "(f|" .. domain .. "}"
    local count = counted[domain] or redis.call("ZLEXCOUNT", KEYS[3], first, last)
    local old = count >= record.slots and 9999999999999 or record[1]
    local new = count + (moved[domain] or 0) >= record.slots and 9999999999999 or record[1]
    if new ~= old then
        left[#left + 1] = string.format("z|*|0|%013d|%s", old, domain)
        joined[#joined + 1], joined[#joined + 2] = "0", string.format("z|*|0|%013d|%s", new, domain)
    end
end
