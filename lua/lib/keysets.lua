-- lib/keysets: the sets of keys that processes hold, joined with the keys' domains.

local function domains_of(key)
    local stored = read_json(redis.call("HGET", KEYS[1], "key|" .. key), nil)
    local domains = {}
    for domain in string.gmatch(stored and stored[2] or key, "[^|]+") do
        domains[#domains + 1] = domain
    end
    return domains
end

local function write_keyset(hash, keys)
    local entries = {}
    for i, key in ipairs(keys) do
        entries[i] = string.format('["%s",["%s"]]', key, table.concat(domains_of(key), '","'))
    end
    redis.call("HSET", KEYS[1], "keyset|" .. hash, "[" .. table.concat(entries, ",") .. "]")
end

-- Joins every known key set again, after a key moved to another domain.
local function rejoin_keysets()
    for _, field in ipairs(redis.call("HKEYS", KEYS[1])) do
        local hash = string.match(field, "^keyset|(.*)$")
        if hash then
            local keys = {}
            for i, entry in ipairs(cjson.decode(redis.call("HGET", KEYS[1], field))) do
                keys[i] = entry[1]
            end
            write_keyset(hash, keys)
        end
    end
end
