-- pool_step: carry out the operations of one process, then grant what can be granted.
--
-- KEYS[1]  pool        hash   small records: lib/records
-- KEYS[2]  tickets     hash   id -> live ticket: lib/tickets
-- KEYS[3]  index       zset   by name: lines and heads (lib/lines), leases (lib/leases), who takes part (lib/shares)
-- KEYS[4]  expiries    zset   ticket id, by the lease clock in ms
-- KEYS[5]  ended       hash   id -> how it ended, even minutes
-- KEYS[6]  ended       hash   id -> how it ended, odd minutes
-- ARGV[1]  call        packed, as lib/calls reads it: the highest fence that the caller has seen, its id, the epoch of the
--                      pool state that it knows, and at most 128 operations: enqueue {"e", ...}, settle {"s", ...},
--                      cancel {"c", ...}, heartbeat {"h", ...}, leave {"b"}; none: a timer
--
-- returns      JSON: ["register", epoch or ""]  the caller must call pool_register first
--              ["ok", fence, now, results, grants, wakes, refusals]: results one per operation;
--              grants [id, key, fence, spacing ms] of tickets that the caller had enqueued before;
--              wakes [queue, id, ms]: when to call again; refusals [id, reason, what binds] of its older tickets
--
-- invariants   An operation repeated changes nothing.
--              A ticket that is not granted changes nothing but its queue.
--              After the step each queue is empty or its head is blocked.

--@include lib/opening
local calls = {}
do
    --@include lib/calls
    --@include lib/express
end
--@include lib/core

if not open_for_caller() then
    if pool.was_waited_in then save() end
    return string.format('["register","%s"]', pool.epoch or "")
end
if pool.lease >= pool.expires then
    --@include lib/expiry
    expire_leases()
end
local results, asked, later = {}, {}, {}
for i = 1, #calls do
    local call = calls[i]
    local kind, id = call[1], call[2]
    if kind == "s" then
        results[i] = settle_operation(call)
    elseif kind == "e" then
        asked[id], later[#later + 1] = true, call
    elseif kind == "h" then
        --@include lib/heartbeat
        results[i], pool.is_beating = heartbeat(call), true
    elseif kind == "b" then
        results[i], pool.is_leaving = '["b"]', true
    elseif tickets[id] and tickets[id].state == "q" then
        results[i], later[#later + 1] = '["c","q"]', { "w", i, tickets[id] }
    else
        --@include lib/revocation
        results[i] = cancel_operation(call)
    end
end
if #lessons > 0 then
    --@include lib/learning
    learn()
end

if pool.is_beating then
    --@include lib/raising
    raise_rates()
end

local is_calm = not next(pool.queues) and #pool.parked == 0
if #later > 0 or pool.is_leaving or not is_calm then
    --@include lib/asking
    if is_calm then
        later = grant_at_once(later)
    end
    if #later > 0 or pool.is_leaving or not is_calm then
        --@include lib/waiting
        correct_tags()
        if #pool.parked > 0 or pool.is_beating or pool.is_leaving then
            --@include lib/absence
            drop_absent()
        end
        release_flows()
        count_at_once()
        arrive(later, results)
        grant_heads()
        if next(blocked) then
            --@include lib/backfill
            fill()
        end
        if pool.is_asked then
            store_fresh()
        end
        correct_tags()
        close_queues()
        arm_timers()
        place_flows()
        push_messages()
    end
end
save()
return answer(calls, results, asked)
