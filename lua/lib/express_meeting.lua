-- lib/express_meeting: two keys of a crowd are met by chance, as lib/crowd has it; they follow the one whose turn it was.
-- (One that is missing has no limits: that ends the express way.)

local seed, names = seq + 1, {}
for i = 1, 2 do
    seed = (seed * 48271 + i) % 2147483647
    names[i] = string.format("entry|%s|%d", keyset, seed % crowd_size + 1)
end
local met = redis.call("HMGET", KEYS[1], unpack(names))
for i = 3, 5, 2 do
    keys[i], keys[i + 1] = string.match(met[(i - 1) / 2] or "", "^([^|]+)|(.*)$")
end
