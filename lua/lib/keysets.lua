-- lib/keysets: the sets of keys that processes hold, joined with the keys' domains.

-- The domains of a key, joined by "|"; by default it is its own.
local function domains_of(key)
    local stored = read_json(redis.call("HGET", KEYS[1], "key|" .. key), nil)
    return stored and stored[2] or key
end

local function write_keyset(hash, keys)
    local entries = {}
    for i, key in ipairs(keys) do
        entries[i] = string.format('"%s","%s"', key, domains_of(key))
    end
    redis.call("HSET", KEYS[1], "keyset|" .. hash, "[" .. table.concat(entries, ",") .. "]")
end

-- The names of the fields of one kind, without their prefix.
local function names_of(kind)
    local names = {}
    for _, field in ipairs(redis.call("HKEYS", KEYS[1])) do
        names[#names + 1] = string.match(field, "^" .. kind .. "|(.*)$")
    end
    return names
end

-- Joins every known key set again, after a key moved to another domain.
local function rejoin_keysets()
    for _, hash in ipairs(names_of("keyset")) do
        local entries, keys = keys_of(hash), {}
        for i = 1, #entries, 2 do
            keys[#keys + 1] = entries[i]
        end
        write_keyset(hash, keys)
    end
end
