-- session_append: put a message at the end of a conversation, and tell what its caller has not seen.
--
-- KEYS[1]  messages     list   the conversation's generation, then its messages in order
--
-- ARGV[1]  generation   the one that the caller knows, or ""
-- ARGV[2]  known        messages of it that the caller has seen, 0…
-- ARGV[3]  ttl_ms       after which an untouched conversation is forgotten, 1…
-- ARGV[4]  fresh        the generation that begins here, if there is none
-- ARGV[5]  message      text that no other message equals (it has an id), or "" to append nothing
--
-- returns      {generation, first, {message, …}}: the messages from index `first` on; {"", 0, {}}: none
--
-- invariants   A message counts once, however often its append is repeated.
--              Messages keep the order in which they were appended.
--              Who has seen more than there is (Redis lost writes) is told everything again.

local generation = redis.call("LINDEX", KEYS[1], 0) or ""
local known = tonumber(ARGV[2])
if generation ~= ARGV[1] or redis.call("LLEN", KEYS[1]) <= known then
    known = 0
end
local unseen = redis.call("LRANGE", KEYS[1], known + 1, -1)
local is_new = ARGV[5] ~= ""
for _, message in ipairs(unseen) do
    is_new = is_new and message ~= ARGV[5]
end
if is_new then
    if generation == "" then
        generation = ARGV[4]
        redis.call("RPUSH", KEYS[1], generation)
    end
    redis.call("RPUSH", KEYS[1], ARGV[5])
    unseen[#unseen + 1] = ARGV[5]
end
redis.call("PEXPIRE", KEYS[1], ARGV[3])
return { generation, known, unseen }
