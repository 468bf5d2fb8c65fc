-- lib/overview: the state of a pool as tables, for people. Reads, changes nothing.

local function amounts_of(bucket, field)
    --@include lib/cuts
    local shape = bucket.shape
    local cut = pool.cuts[field .. "|" .. shape.kind % 100]
    return { resource = shape.code, tick_ms = shape.tick, rule = shape.rule,
        limit = cut and cut[3] or shape.rate, cut = cut and cut[5] < cut[3] and cut[5] or nil,
        capacity = math.floor(shape.capacity / shape.unit), level = math.floor(bucket.level / shape.unit),
        held = math.floor(bucket.held / shape.unit) }
end

local LEASES_SEEN = 10000      -- of more, the others are not counted
local flying = nil

-- Leases in flight by domain.
local function in_flight()
    if not flying then
        local ids = {}
        for i, member in ipairs(range("o", LEASES_SEEN)) do
            ids[i] = string.match(member, "([^|]+)$")
        end
        load_tickets(ids)
        flying = {}
        for _, id in ipairs(ids) do
            for _, domain in ipairs(tickets[id] and domains_in(tickets[id].domains or "") or {}) do
                flying[domain] = (flying[domain] or 0) + 1
            end
        end
    end
    return flying
end

local function domain_view(domain)
    local config = read_json(redis.call("HGET", KEYS[1], "config|" .. domain), { -1, "", "", {}, {}, 0 })
    return { version = config[1], hash = config[2], source = config[3], applied_ms = pool.now - config[6],
        in_flight = in_flight()[domain] or 0, concurrency = 0, paused_ms = 0, lanes = {} }
end

-- The domains by name; `names` are "domain|lane".
local function domain_views(names)
    local domains = {}
    load_records(names)
    for _, name in ipairs(names) do
        local domain, lane = string.match(name, "^(.*)|([^|]+)$")
        local record, buckets = record_of(name), {}
        local view = domains[domain] or domain_view(domain)
        for i, bucket in ipairs(record.buckets) do
            buckets[i] = amounts_of(bucket, name)
        end
        view.paused_ms = math.max(view.paused_ms, record.pause_until - pool.now)
        view.concurrency = math.max(view.concurrency, record.shapes.concurrency)
        domains[domain], view.lanes[lane] = view, buckets
    end
    return domains
end

local function key_views(keys)
    local views = {}
    for _, key in ipairs(keys) do
        local outage, domains = pool.outages[key], {}
        local is_out = outage and (outage[1] == 0 or outage[1] > pool.now)
        for domain in string.gmatch(domains_of(key), "[^|]+") do
            domains[#domains + 1] = domain
        end
        views[key] = { domains = domains, reason = is_out and outage[2] or nil,
            out_ms = is_out and outage[1] > 0 and outage[1] - pool.now or nil }
    end
    return views
end

--@include lib/overview_queues

local function process_views(ids)
    local views = {}
    for _, id in ipairs(ids) do
        local process = process_of(id) or { 0, 0, 0 }
        views[id] = { info = read_json(redis.call("HGET", KEYS[1], "info|" .. id), {}), queued = count_range("w|" .. id),
            seen_ms = pool.presence - process[1], state = process[3], mailbox = redis.call("LLEN", pool.mailboxes .. id),
            leases = count_range("o|" .. id) }
    end
    return views
end
