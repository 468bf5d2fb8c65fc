-- lib/outliving: nobody has called for so long, or the clock has jumped so far, that the Redis keys of tickets, lines
-- and leases have run out: nothing of them is there any more.

local function outlive()
    pool.has_outlived, pool.was_waited_in = true, next(pool.queues) ~= nil
    pool.queues, pool.parked, pool.queues_changed, pool.parked_changed = {}, {}, true, true
    pool.lease, pool.touched = pool.lease + pool.ttl, 0
end
