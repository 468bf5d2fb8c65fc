-- pool_step: carry out the operations of one process, then grant what can be granted.
--
-- KEYS[1]  pool        hash   small records: lib/records
-- KEYS[2]  tickets     hash   id -> live ticket: lib/tickets
-- KEYS[3]  index       zset   by name: lines and heads (lib/lines), leases (lib/tickets)
-- KEYS[4]  expiries    zset   ticket id, by the lease clock in ms
-- KEYS[5]  ended       hash   id -> how it ended, even minutes
-- KEYS[6]  ended       hash   id -> how it ended, odd minutes
-- ARGV[1]  process     id of the caller
-- ARGV[2]  epoch       the pool state that it knows
-- ARGV[3]  mailboxes   prefix of the mailbox of a process
-- ARGV[4]  fence       the highest that it has seen
-- ARGV[5]  operations  JSON: lib/operations; at most 128; none is a timer's call
--
-- returns      {"register", epoch or ""}  the caller must call pool_register first
--              {"ok", fence, now, results, grants, wakes, refusals}: results one per operation;
--              grants {id, key, fence, spacing ms} of tickets that the caller had enqueued before;
--              wakes {queue, id, ms}: when to call again; refusals {id, reason} of its older tickets
--
-- invariants   An operation repeated changes nothing.
--              A ticket that is not granted changes nothing but its queue.
--              After the step each queue is empty or its head is blocked.

--@include lib/clock
--@include lib/bucket
--@include lib/charge
--@include lib/records
--@include lib/processes
--@include lib/tickets
--@include lib/lines
--@include lib/output
--@include lib/choice
--@include lib/leases
--@include lib/pump
--@include lib/operations
--@include lib/answer
--@include lib/save

local operations = { e = enqueue, s = settle_operation, c = cancel, h = heartbeat, b = leave }
local calls = cjson.decode(ARGV[5])
if #calls > 128 then
    error("pool_step: more than 128 operations")
end
if not open_pool(ARGV[1]) or pool.epoch ~= ARGV[2] or tonumber(ARGV[4]) > pool.fence then
    return { "register", pool.epoch or "" }
end
local process = processes[pool.caller]
if not process or process[3] == 2 then
    return { "register", pool.epoch }
end
if process[3] == 1 then
    unpark(pool.caller)
end
process[1], process[3], process.dirty = pool.presence, 0, true
rotate_ended(pool.seen_before)
expire_leases()
drop_absent()
local known = {}
for i, call in ipairs(calls) do
    known[i] = operations[call[1]](call) or false
end
pump()
store_fresh()
arm_timers()
save()
if pool.is_leaving then
    redis.call("HDEL", KEYS[1], "process|" .. pool.caller, "info|" .. pool.caller)
end
return answer(calls, known)
