-- lib/registry: which limits hold, and which keys belong to which domain (ENGINE.md §6).
--
-- Fields of KEYS[1]:
--   config|<domain>   [version or -1, hash, source, [superseded hashes], [lanes], applied_at]
--   key|<key id>      [version or -1, "domain|domain", source, [superseded]]
--   keyset|<hash>     [[key id, [domains]]...]
--   info|<process>    what the process says of itself
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

local function superseding(stored, hash)
    local old = stored and stored[4] or {}
    if stored then
        table.insert(old, 1, stored[2])
        old[REMEMBERED + 1] = nil
    end
    for i = #old, 1, -1 do
        if old[i] == hash then
            table.remove(old, i)
        end
    end
    return #old > 0 and '["' .. table.concat(old, '","') .. '"]' or "[]"
end

-- A level carries over in proportion to the capacity; a debt stays what it is.
local function carry_over(bucket, old, is_lost)
    bucket.level, bucket.held, bucket.at = bucket.capacity, 0, math.floor(pool.now / bucket.tick)
    for _, before in ipairs(old and old.buckets or {}) do
        if before.code == bucket.code and before.tick == bucket.tick then
            bucket.held, bucket.level = before.held, before.level
            if before.level > 0 then
                bucket.level = math.floor(before.level / before.capacity * bucket.capacity)
            end
        end
    end
    bucket.level = is_lost and math.min(bucket.level, 0) or bucket.level
end

-- One lane of a domain: {lane, concurrency, {{code, amount, period, burst, jitter, window, rule}...}}.
local function apply_lane(domain, lane, is_lost)
    local field = domain .. "|" .. lane[1]
    local old = record_of(field)
    local record = { concurrency = lane[2], pause_until = old and old.pause_until or 0, buckets = {}, dirty = true }
    local text = { int(lane[2]) }
    for i, limit in ipairs(lane[3]) do
        local rate, capacity, unit, most = define(limit[1], limit[2], limit[3], limit[4], limit[5], limit[6])
        local bucket = { code = limit[1], rate = rate, tick = limit[3] / 60000, capacity = capacity, unit = unit,
            most = most, rule = limit[7] }
        carry_over(bucket, old, is_lost)
        record.buckets[i] = bucket
        text[i + 1] = string.format("%.0f,%.0f,%.0f,%.0f,%.0f,%.0f,%.0f", bucket.code, rate, bucket.tick, capacity,
            unit, most, bucket.rule)
    end
    records[field] = record
    redis.call("HSET", KEYS[1], "limits|" .. field, "[" .. table.concat(text, ",") .. "]")
end

-- One domain: {name, hash, {lanes}}. Answers "applied", "same" or "kept".
local function apply_domain(offer, domain, is_lost)
    local name, hash = domain[1], domain[2]
    local stored = read_json(redis.call("HGET", KEYS[1], "config|" .. name), nil)
    if not adopts(stored, offer, hash) then
        return stored[2] == hash and "same" or "kept"
    end
    local lanes = {}
    for i, lane in ipairs(domain[3]) do
        apply_lane(name, lane, is_lost)
        lanes[lane[1]], lanes[i] = true, lane[1]
    end
    for _, lane in ipairs(stored and stored[5] or {}) do
        if not lanes[lane] then
            records[name .. "|" .. lane] = false
            redis.call("HDEL", KEYS[1], "limits|" .. name .. "|" .. lane, "buckets|" .. name .. "|" .. lane)
        end
    end
    redis.call("HSET", KEYS[1], "config|" .. name, string.format('[%.0f,"%s","%s",%s,["%s"],%.0f]', offer.version, hash,
        offer.source, superseding(stored, hash), table.concat(lanes, '","'), pool.now))
    return "applied"
end

-- Which domains a key belongs to; true when that changed.
local function apply_key(offer, key, domains)
    local hash = table.concat(domains, "|")
    local stored = read_json(redis.call("HGET", KEYS[1], "key|" .. key), nil)
    if not adopts(stored, offer, hash) then
        return false
    end
    redis.call("HSET", KEYS[1], "key|" .. key, string.format('[%.0f,"%s","%s",%s]', offer.version, hash, offer.source,
        superseding(stored, hash)))
    return true
end
