-- lib/keysets: the sets of keys that processes hold, joined with the keys' domains.

-- The domains of a key, joined by "|"; by default it is its own.
local function domains_of(key)
    local stored = read_json(redis.call("HGET", KEYS[1], "key|" .. key), nil)
    return stored and stored[2] or key
end

local FEW = 8                  -- keys of more domains are a crowd: lib/crowd

-- 1 where all these domains have equal limits in every lane, so that lib/crowd_index can order them; else 0.
local function uniformity(domains)
    local fields, kinds = {}, {}
    for i, domain in ipairs(domains) do
        fields[i] = "config|" .. domain
    end
    for i, text in ipairs(read_fields(KEYS[1], fields)) do
        local lanes, limits = text and cjson.decode(text)[5] or {}, {}
        for j, lane in ipairs(lanes) do
            limits[j] = "limits|" .. domains[i] .. "|" .. lane
        end
        limits = read_fields(KEYS[1], limits)
        for j, lane in ipairs(lanes) do
            limits[j] = lane .. (limits[j] or "")
        end
        kinds[table.concat(limits, " ")] = true
    end
    return next(kinds) and next(kinds, next(kinds)) == nil and 1 or 0
end

-- Names each of many keys in a field of its own; returns what stands for them all: lib/choice.
local function write_crowd(hash, keys, domains)
    local fields, seen, distinct, is_single = {}, {}, {}, true
    for i, key in ipairs(keys) do
        local text, domain = key .. "|" .. domains[i], domains[i]
        is_single = is_single and not string.find(domain, "|", 1, true)
        for _, name in ipairs({ string.format("%d", i), "@" .. key, not seen[domain] and "d|" .. domain or nil }) do
            fields[#fields + 1] = "entry|" .. hash .. "|" .. name
            fields[#fields + 1] = text
        end
        if not seen[domain] then
            seen[domain], distinct[#distinct + 1] = true, domain
        end
    end
    if #distinct <= FEW then
        return nil
    end
    send("HSET", KEYS[1], fields)
    pool.is_new_crowd, pool.has_crowd = pool.is_new_crowd or pool.has_crowd == 0, 1
    return string.format('["#",%d,%d,%d]', #keys, is_single and uniformity(distinct) or 0, #distinct == #keys and 1 or 0)
end

local function write_keyset(hash, keys)
    local entries, domains = {}, {}
    for i, key in ipairs(keys) do
        domains[i] = domains_of(key)
        entries[2 * i - 1], entries[2 * i] = key, domains[i]
    end
    local text = #keys > FEW and (write_crowd(hash, keys, domains) or cjson.encode(entries))
        or string.char(#entries) .. struct.pack(string.rep("s", #entries), unpack(entries))
    redis.call("HSET", KEYS[1], "keyset|" .. hash, text)
    keysets[hash] = nil
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
        local entries, keys = entries_of(hash), {}
        for i = 1, #entries, 2 do
            keys[#keys + 1] = entries[i]
        end
        write_keyset(hash, keys)
    end
end
