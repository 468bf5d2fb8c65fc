-- lib/lifetimes: every Redis key has a TTL, and none is ever emptied.

local BULKY = string.rep(".", 65)      -- too long for a listpack: what ended is found by its hash, not by a walk

function touch()
    redis.call("HSET", KEYS[2], "", "")
    redis.call("ZADD", KEYS[3], 0, "")
    redis.call("ZADD", KEYS[4], LATEST, "")
    redis.call("HSET", generation(0), "", BULKY)
    for i = 1, #KEYS do
        redis.call("PEXPIRE", KEYS[i], i == 1 and POOL_TTL_MS or pool.state_ttl)
    end
end
