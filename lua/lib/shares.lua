-- lib/shares: how many processes take part in a pool, and which of them the caller is: by that it deals itself a share of
-- every limit while it cannot reach this server (ENGINE.md §6).
--
-- Members of KEYS[3]: n|process takes part, since it registered, and anew with each heartbeat that asks; the order of the
-- ids is one for all. Such a heartbeat looks at those behind its own process, the first behind the last, and takes out who
-- has not called for one TTL of the lease clock, up to the first who has. So who was killed is counted for one TTL, until
-- the next heartbeat of the live one before it: at most a third longer, and one heartbeat more for each eight who were
-- killed in a row.

local LOOKED_AT = 8            -- in one heartbeat

-- Those who come after the caller.
local function neighbours(me)
    local found = redis.call("ZRANGEBYLEX", KEYS[3], "(" .. me, "(n}", "LIMIT", 0, LOOKED_AT)
    if #found < LOOKED_AT then
        local first = redis.call("ZRANGEBYLEX", KEYS[3], "[n|", "(" .. me, "LIMIT", 0, LOOKED_AT - #found)
        for i = 1, #first do
            found[#found + 1] = first[i]
        end
    end
    return found
end

local function take_out_dead(me)
    for _, member in ipairs(neighbours(me)) do
        local process = process_of(string.sub(member, 3))
        if process and pool.lease - process[4] <= pool.ttl then
            return
        end
        redis.call("ZREM", KEYS[3], member)
    end
end

-- JSON of ms that each key is still out of service, 0 for ever.
local function outages_left()
    local out = {}
    for key, outage in pairs(pool.outages) do
        out[#out + 1] = string.format('"%s":%d', key, outage[1] > 0 and outage[1] - pool.now or 0)
    end
    return "{" .. table.concat(out, ",") .. "}"
end

-- The part of a heartbeat's answer that tells its share: how many take part, the place of the caller among them, from 0 on,
-- and the keys out of service.
local function share_text()
    local me = "n|" .. pool.caller
    redis.call("ZADD", KEYS[3], "0", me)
    if pool.has_outlived then                  -- and once more, after all of KEYS[3] has been forgotten
        joined[#joined + 1] = "0"
        joined[#joined + 1] = me
    end
    take_out_dead(me)
    local place = redis.call("ZLEXCOUNT", KEYS[3], "[n|", "(" .. me)
    return string.format(",[%d,%d,%s]", count_range("n"), place, outages_left())
end
