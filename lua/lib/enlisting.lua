-- lib/enlisting: a process takes part in a pool.

local ALL_NUMBERS = 2 ^ 50     -- above every ticket that a process can name

-- The caller takes part. Its tickets up to the number that it has reached must be looked up, of one that is
-- not known here all; its leases that were never reported are due as before: where that is over the next step looks, and what
-- this call puts in flight does not put it off.
local function enlist(offer)
    local known = processes[pool.caller]
    local due = tonumber(redis.call("ZSCORE", KEYS[4], "@" .. pool.caller) or 0)
    if due > 0 and not pool.has_outlived then
        due = math.max(due, pool.lease + 1)
    end
    local number = known and known[6] or (offer.known_epoch == "" and 0 or ALL_NUMBERS)
    joined[#joined + 1] = "0"
    joined[#joined + 1] = "n|" .. pool.caller          -- lib/shares
    processes[pool.caller] = { pool.presence, 0, 0, pool.lease, due, number, pool.lease, dirty = true }
    redis.call("HSET", KEYS[1], "info|" .. pool.caller, offer.info)
end
