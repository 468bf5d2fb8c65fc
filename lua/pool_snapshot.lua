-- pool_snapshot: everything about a pool that people ask for, at one moment.
--
-- KEYS[1]  pool        hash   small records: lib/records, lib/registry
-- KEYS[2]  tickets     hash   id -> live ticket
-- KEYS[3]  index       zset   lines, heads, leases, who takes part
-- KEYS[4]  expiries    zset   ticket id, by the lease clock in ms
-- KEYS[5]  ended       hash   id -> how it ended, even minutes
-- KEYS[6]  ended       hash   id -> how it ended, odd minutes
-- ARGV      none
--
-- returns      JSON: epoch, fence, leases, waiting, domains, keys, queues, processes; amounts, not
--              units; times in ms, relative to now; an empty string when there is no pool
--
-- invariants   It changes nothing.

--@include lib/parts
local opening = "process|"      -- it is nobody's step
--@include lib/opening
--@include lib/opened
--@include lib/texts
--@include lib/clock
--@include lib/bucket
--@include lib/charge
--@include lib/records
--@include lib/keys
--@include lib/queues
--@include lib/tickets
--@include lib/leases
--@include lib/answer
--@include lib/flows
--@include lib/lines
--@include lib/choice
--@include lib/weigh
--@include lib/verdict

if not open_pool("") then
    return ""
end
--@include lib/tenants
--@include lib/tags
--@include lib/bands
--@include lib/judgement
--@include lib/keysets
--@include lib/overview
local waiting = 0
local queues = queue_views()
for _, queue in ipairs(queues) do
    waiting = waiting + queue.waiting
end
return cjson.encode({
    epoch = pool.epoch,
    fence = pool.fence,
    ttl_ms = pool.ttl,
    idle_ms = pool.now - pool.seen_before,
    leases = count_range("o"),
    waiting = waiting,
    domains = domain_views(names_of("limits")),
    keys = key_views(names_of("key")),
    queues = queues,
    aging_ms = tenancy().aging,
    weights = tenancy().weights,
    processes = process_views(names_of("process")),
})
