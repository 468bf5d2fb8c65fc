-- lib/express_crowd: of a crowd of keys the one is read whose turn it is, as lib/crowd has it.

if prefers or lists then
    return nil
end
crowd_size = keys[2]
local text = redis.call("HGET", KEYS[1], string.format("entry|%s|%d", keyset, fence % crowd_size + 1))
local key, domain = string.match(text or "", "^([^|]+)|(.*)$")
if not key then
    return nil
end
keys = { key, domain }
