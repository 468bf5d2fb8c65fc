-- pool_register: make a process known to a pool, with its keys, limits and the leases it holds.
--
-- KEYS[1]  pool        hash   small records: lib/records, lib/registry
-- KEYS[2]  tickets     hash   id -> live ticket
-- KEYS[3]  index       zset   lines, heads, leases, who takes part
-- KEYS[4]  expiries    zset   ticket id, by the lease clock in ms
-- KEYS[5]  ended       hash   id -> how it ended, even minutes
-- KEYS[6]  ended       hash   id -> how it ended, odd minutes
-- ARGV[1]  process     id of the caller
-- ARGV[2]  epoch       random, for a pool that is new or lost its state
-- ARGV[3]  offer       JSON: known_epoch, known_fence, is_lost, ttl_ms, version, source, force,
--                      order, digest, domains, keys, keyset, keyset_keys, info, leases: lib/registry, lib/recovery;
--                      and returns, or nothing: lib/returns
--
-- returns      {"ok", epoch, fence, now, {domain, "applied" | "same" | "kept", ...}, number of processes}
--
-- invariants   Registering twice changes nothing.
--              After lost writes no level is above 0, and what is in flight is charged again.
--              An old process cannot roll back what a newer configuration has set.
--              What processes that are gone have left behind is forgotten.
--              What a process returns counts once.

--@include lib/parts
local opening = "process|" .. ARGV[1]
--@include lib/opening
--@include lib/opened
--@include lib/texts
--@include lib/clock
--@include lib/bucket
--@include lib/limit
--@include lib/charge
--@include lib/records
--@include lib/keys
--@include lib/queues
--@include lib/tickets
--@include lib/leases
--@include lib/flows
--@include lib/lines
--@include lib/choice
--@include lib/keysets
--@include lib/lanes
--@include lib/pruning
--@include lib/places
--@include lib/save

if string.format("%d", 2 ^ 40) ~= "1099511627776" then
    error("pool_register: this server's Lua cannot print 64-bit integers; use a 64-bit server")
end
--@include lib/versions
local offer = cjson.decode(ARGV[3])
local exists = open_pool(ARGV[1])
--@include lib/tenants
--@include lib/registry
--@include lib/offers
--@include lib/enlisting
--@include lib/recovery
--@include lib/returns
--@include lib/tags
local lost = offer.known_epoch ~= "" and offer.known_epoch or nil
pool.ttl = offer.ttl_ms
if not exists then
    create_pool(ARGV[2], offer.known_epoch)
else
    lost = lost_epoch(offer.known_epoch, offer.known_fence, offer.is_lost)
    if lost then
        declare_lost(offer.known_epoch, ARGV[2])
    end
end
local is_survivor = lost ~= nil or (offer.known_epoch ~= "" and offer.known_epoch == pool.predecessor)
pool.fence = math.max(pool.fence, offer.known_fence)
rotate_ended()

local outcome, seen = apply_offer(offer, is_survivor)
if seen.moved or (seen.applied and pool.has_crowd == 1) then
    rejoin_keysets()
end
if seen.applied or not keys_of(offer.keyset) then
    write_keyset(offer.keyset, offer.keyset_keys)
end
enlist(offer)
if is_survivor then
    for _, lease in ipairs(offer.leases) do
        reassert(lease)
    end
end
carry_out_returns(offer.returns or {}, is_survivor)
if pool.is_new_crowd then
    load_records(names_of("limits"))
end
release_flows()
place_flows()
save()
local present = prune_processes()
prune_keysets(present)
touch()
return { "ok", pool.epoch, pool.fence, pool.now, outcome, #present }
