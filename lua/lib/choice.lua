-- lib/choice: which key a ticket goes by, and what it waits for when none is free.
--
-- A verdict is {wait, room, key, domains, resource...}: wait 0 may go now, a number of ms until
-- refill makes it so, nil blocked by leases or holds. `never` marks a need above a limit.

local reserved = {}            -- bucket -> units that heads before this one reserve
local reserved_slots = {}      -- domain -> slots that heads before this one reserve
local keysets = {}             -- key set hash -> {{key id, {domains}}...}

local function keys_of(keyset)
    if keysets[keyset] == nil then
        keysets[keyset] = read_json(redis.call("HGET", KEYS[1], "keyset|" .. keyset), {})
    end
    return keysets[keyset]
end

-- The "domain|lane" fields whose limits a key has to keep in a lane.
local function fields_of(domains, lane)
    local fields = {}
    for _, domain in ipairs(domains) do
        fields[#fields + 1] = domain .. "|*"
        if lane ~= "*" then
            fields[#fields + 1] = domain .. "|" .. lane
        end
    end
    return fields
end

local function load_keyset(keyset, lane)
    local fields = {}
    for _, entry in ipairs(keys_of(keyset)) do
        for _, field in ipairs(fields_of(entry[2], lane)) do
            fields[#fields + 1] = field
        end
    end
    load_records(fields)
end

-- Notes that something keeps the ticket waiting; the longest wait binds.
local function bind(verdict, wait, resource, bucket, need)
    if verdict.wait and (wait == nil or wait > verdict.wait) then
        verdict.wait, verdict.resource, verdict.bucket, verdict.need = wait, resource, bucket, need
    end
end

local function weigh_slots(verdict, domain, record)
    if record.concurrency > 0 then
        local free = record.concurrency - count_in_flight(domain) - (reserved_slots[domain] or 0)
        if free < 1 then
            bind(verdict, nil, "concurrency", nil, 1)
        end
        verdict.room = math.min(verdict.room, (free - 1) / record.concurrency)
    elseif #record.buckets == 0 then
        verdict.room = math.min(verdict.room, 1 / (1 + count_in_flight(domain)))
    end
end

local function weigh_bucket(verdict, bucket, ticket)
    if too_large(bucket, ticket) then
        verdict.never, verdict.bucket, verdict.resource = true, bucket, bucket.code
        verdict.need = amount_of(bucket.code, ticket.input, ticket.output) * bucket.unit
        return
    end
    local units, hold = need_of(bucket, ticket)
    local need, ahead = units + hold, reserved[bucket] or 0
    bind(verdict, wait_for(bucket, need, ahead, pool.now), bucket.code, bucket, need)
    verdict.room = math.min(verdict.room, (bucket.level - bucket.held - ahead - need) / bucket.capacity)
end

-- What stands between a ticket and one key.
local function assess(ticket, entry, lane)
    local verdict = { wait = 0, room = 1, key = entry[1], domains = entry[2] }
    local outage = pool.outages[entry[1]]
    if outage and (outage[1] == 0 or outage[1] > pool.now) then
        verdict.out = outage[1] == 0
        bind(verdict, outage[1] > 0 and outage[1] - pool.now or nil, "key", nil, 1)
    end
    for _, field in ipairs(fields_of(entry[2], lane)) do
        local record = record_of(field)
        if record then
            if record.pause_until > pool.now then
                bind(verdict, record.pause_until - pool.now, "pause", nil, 1)
            end
            if string.sub(field, -2) == "|*" then
                weigh_slots(verdict, string.sub(field, 1, -3), record)
            end
            for _, bucket in ipairs(record.buckets) do
                weigh_bucket(verdict, bucket, ticket)
                if verdict.never then
                    return verdict
                end
            end
        end
    end
    return verdict
end

local function is_better(verdict, best)
    if not best or verdict.wait ~= best.wait then
        return not best or (verdict.wait ~= nil and (best.wait == nil or verdict.wait < best.wait))
    end
    return verdict.room > best.room
end

-- The best verdict over all keys of the set: the preferred key where it is free, else the one
-- with the most room in its tightest resource, else the one that is affordable first. A second
-- value tells why no key ever can: "too_large" or "no_key".
local function choose(ticket)
    local lane, keyset = string.match(ticket.queue, "^(.*)|([^|]+)$")
    local best, refusal, large = nil, "no_key", nil
    load_keyset(keyset, lane)
    for _, entry in ipairs(keys_of(keyset)) do
        local verdict = assess(ticket, entry, lane)
        if verdict.never then
            large = large or verdict
        elseif verdict.wait == 0 and verdict.key == ticket.key then
            return verdict
        elseif not verdict.out and is_better(verdict, best) then
            best = verdict
        end
    end
    if best then
        return best
    end
    return large or {}, large and "too_large" or refusal
end

-- A blocked head keeps later tickets off what it needs, on the key where it can go first.
local function reserve(ticket, verdict)
    local lane = string.match(ticket.queue, "^(.*)|[^|]+$")
    for _, field in ipairs(fields_of(verdict.domains, lane)) do
        for _, bucket in ipairs((record_of(field) or { buckets = {} }).buckets) do
            local units, hold = need_of(bucket, ticket)
            reserved[bucket] = (reserved[bucket] or 0) + units + hold
        end
    end
    for _, domain in ipairs(verdict.domains) do
        reserved_slots[domain] = (reserved_slots[domain] or 0) + 1
    end
end
