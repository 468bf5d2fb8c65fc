-- lib/keys: API keys, the domains that they draw from, and the records of those.

local keysets = {}             -- hash -> {key id, "domain|domain", ...} in order, or false
local keys_in, keys_of, is_of_tenant, domains_in, fields_of, records_of
do
    -- The entry of `keysets` that a text means (lib/records).
    function keys_in(text)
        local count = string.byte(text)
        if count == 91 then            -- "[": JSON
            return cjson.decode(text)
        end
        local keys = { struct.unpack(string.rep("s", count), text, 2) }
        keys[count + 1] = nil
        return keys
    end

    function keys_of(keyset)
        if keysets[keyset] == nil then
            local text = redis.call("HGET", KEYS[1], "keyset|" .. keyset)
            keysets[keyset] = text and keys_in(text)
        end
        return keysets[keyset]
    end

    -- True of the domain of a tenant, and of fields of it: it is of our own making, no provider knows it.
    function is_of_tenant(domain)
        return string.sub(domain, 1, 7) == "tenant:"
    end

    -- The domains in "domain|domain": mostly there is one.
    function domains_in(joined)
        if not string.find(joined, "|", 1, true) then
            return { joined }
        end
        local list = {}
        for domain in string.gmatch(joined, "[^|]+") do
            list[#list + 1] = domain
        end
        return list
    end

    -- The "domain|lane" fields whose limits a key of these domains ("domain|domain") keeps in a lane.
    function fields_of(domains, lane)
        local fields = {}
        for _, domain in ipairs(domains_in(domains)) do
            fields[#fields + 1] = domain .. "|*"
            fields[#fields + 1] = lane ~= "*" and domain .. "|" .. lane or nil
        end
        return fields
    end

    -- The records of some fields, of those that have limits.
    function records_of(fields)
        local found = {}
        for _, field in ipairs(fields) do
            found[#found + 1] = record_of(field) or nil
        end
        return found
    end
end
