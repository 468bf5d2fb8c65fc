-- session_clear: forget every message of a conversation; a new generation of it begins.
--
-- KEYS[1]  messages   list   the conversation's generation, then its messages in order
--
-- ARGV[1]  fresh      the generation that begins here
-- ARGV[2]  ttl_ms     after which an untouched conversation is forgotten, 1…
--
-- returns      {1}, or {0} where it had been cleared by this very call before
--
-- invariants   A repeated clear forgets nothing that was appended after the first.

if redis.call("LINDEX", KEYS[1], 0) == ARGV[1] then
    return { 0 }
end
redis.call("DEL", KEYS[1])
redis.call("RPUSH", KEYS[1], ARGV[1])
redis.call("PEXPIRE", KEYS[1], ARGV[2])
return { 1 }
