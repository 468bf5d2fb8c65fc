-- lib/registry: which limits hold, and which keys belong to which domain (ENGINE.md §6).
--
-- Fields of KEYS[1]:
--   config|<domain>   [version or -1, hash, source, [superseded hashes], [lanes], applied_at]
--   key|<key id>      [version or -1, "domain|domain", source, [superseded]]
--   order             tenants and the aging time: lib/tenants
--   info|<process>    what the process says of itself
--   accepted          digest of the last offer that is in force as a whole: lib/offers
-- Invariant: an old process cannot roll back what a newer configuration has set.

local REMEMBERED = 32

-- Whether an offered hash replaces the stored one. A version orders; without one only a hash
-- that was never superseded replaces.
local function adopts(stored, offer, hash)
    if not stored or offer.force then
        return not stored or stored[2] ~= hash
    elseif stored[2] == hash then
        return false
    elseif offer.version >= 0 or stored[1] >= 0 then
        return offer.version > stored[1]
    end
    for _, old in ipairs(stored[4]) do
        if old == hash then
            return false
        end
    end
    return true
end

-- JSON of the superseded hashes, the latest first, once `hash` replaces what is stored.
local function superseding(stored, hash)
    local out = {}
    for _, old in ipairs(stored and { stored[2], unpack(stored[4]) } or {}) do
        if old ~= hash and #out < REMEMBERED then
            out[#out + 1] = '"' .. old .. '"'
        end
    end
    return "[" .. table.concat(out, ",") .. "]"
end

-- Takes out the lanes that a domain no longer has.
local function drop_lanes(name, lanes, kept)
    for _, lane in ipairs(lanes) do
        if not kept[lane] then
            records[name .. "|" .. lane] = false
            redis.call("HDEL", KEYS[1], "limits|" .. name .. "|" .. lane, "buckets|" .. name .. "|" .. lane)
        end
    end
end

-- One domain: {name, hash, {lanes}}. Answers "applied", "same" or "kept".
local function apply_domain(offer, domain, is_lost)
    local name, hash = domain[1], domain[2]
    local stored = read_json(redis.call("HGET", KEYS[1], "config|" .. name), nil)
    if not adopts(stored, offer, hash) then
        return stored[2] == hash and "same" or "kept"
    end
    local names, kept = {}, {}
    for i, lane in ipairs(domain[3]) do
        apply_lane(name, lane, is_lost)
        names[i], kept[lane[1]] = lane[1], true
    end
    drop_lanes(name, stored and stored[5] or {}, kept)
    redis.call("HSET", KEYS[1], "config|" .. name, string.format('[%d,"%s","%s",%s,["%s"],%d]', offer.version, hash,
        offer.source, superseding(stored, hash), table.concat(names, '","'), pool.now))
    return "applied"
end

-- Which domains a key belongs to. Answers as apply_domain does.
local function apply_key(offer, key, domains)
    local hash = table.concat(domains, "|")
    local stored = read_json(redis.call("HGET", KEYS[1], "key|" .. key), nil)
    if not adopts(stored, offer, hash) then
        return stored[2] == hash and "same" or "kept"
    end
    redis.call("HSET", KEYS[1], "key|" .. key, string.format('[%d,"%s","%s",%s]', offer.version, hash, offer.source,
        superseding(stored, hash)))
    return "applied"
end

local function stored_order()
    local stored = tenancy().stored
    return stored[2] ~= "" and stored or nil
end

-- The order of tenants that is offered: [hash, aging ms, {tenant: weight}, {tenant: 1 where it has limits}].
local function apply_order(offer)
    local hash, aging, weights, limited = unpack(offer.order)
    local stored = stored_order()
    if not adopts(stored, offer, hash) then
        return stored[2] == hash and "same" or "kept"
    end
    pool.order = string.format('[%d,"%s","%s",%s,%d,%s,%s]', offer.version, hash, offer.source, superseding(stored, hash),
        aging, cjson.encode(weights), cjson.encode(limited))
    pool.tenancy = nil
    redis.call("HSET", KEYS[1], "order", pool.order)
    return "applied"
end
