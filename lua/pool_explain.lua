-- pool_explain: one ticket: what it waits for and when it is expected to go, what it holds, or how it ended.
--
-- KEYS[1]  pool        hash   small records: lib/records, lib/registry
-- KEYS[2]  tickets     hash   id -> live ticket
-- KEYS[3]  index       zset   lines, heads, leases, who takes part
-- KEYS[4]  expiries    zset   by the lease clock in ms
-- KEYS[5]  ended       hash   id -> how it ended, even minutes
-- KEYS[6]  ended       hash   id -> how it ended, odd minutes
-- ARGV[1]  ticket      its id
--
-- returns      JSON: state, and what there is to say: lib/explain_view; amounts, not units; times in ms,
--              relative to now; an empty string when there is no pool
--
-- invariants   It changes nothing.
--              For one tenant, one key and limits of requests the start that it tells is the one that comes.

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
--@include lib/ratio
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
--@include lib/bands
--@include lib/judgement
--@include lib/explain_refill
--@include lib/explain_plan
--@include lib/explain_supply
--@include lib/explain_sums
--@include lib/explain_lines
--@include lib/explain_mates
--@include lib/explain_turns
--@include lib/explain_ahead
--@include lib/explain_others
--@include lib/explain_start
--@include lib/explain_view
return cjson.encode(explained(ARGV[1]))
