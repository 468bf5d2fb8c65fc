-- lib/express_crowd: two keys of a crowd are met by chance, as lib/crowd has it.

local seed, names = seq + 1, {}
if prefers or lists then
    return nil
end
for i = 1, 2 do
    seed = (seed * 48271 + i) % 2147483647
    names[i] = string.format("entry|%s|%d", keyset, seed % keys[2] + 1)
end
local met = redis.call("HMGET", KEYS[1], unpack(names))
for i = 1, 2 do
    keys[2 * i - 1], keys[2 * i] = string.match(met[i] or "", "^([^|]+)|(.*)$")
    if not keys[2 * i] then
        return nil
    end
end
