-- lib/keys: API keys, the domains that they draw from, and the records of those.

local keysets = {}             -- hash -> {key id, "domain|domain", ...} in order, or false

local function keys_of(keyset)
    if keysets[keyset] == nil then
        keysets[keyset] = read_json(redis.call("HGET", KEYS[1], "keyset|" .. keyset), false)
    end
    return keysets[keyset]
end

-- Loads the records that keys of some domains need in a lane: {"domain|domain", ...}.
local function load_records_of(list, lane)
    local fields = {}
    for _, domains in ipairs(list) do
        for domain in string.gmatch(domains, "[^|]+") do
            fields[#fields + 1] = domain .. "|*"
            fields[#fields + 1] = lane ~= "*" and domain .. "|" .. lane or nil
        end
    end
    load_records(fields)
end

-- The records whose limits a key has to keep in a lane.
local function records_of(domains, lane)
    local found = {}
    for domain in string.gmatch(domains, "[^|]+") do
        found[#found + 1] = record_of(domain .. "|*") or nil
        if lane ~= "*" then
            found[#found + 1] = record_of(domain .. "|" .. lane) or nil
        end
    end
    return found
end
