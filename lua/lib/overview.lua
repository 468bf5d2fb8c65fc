-- lib/overview: the state of a pool as tables, for people. Reads, changes nothing.

local function amounts_of(bucket)
    local shape = bucket.shape
    return { resource = shape.code, tick_ms = shape.tick, limit = shape.rate, rule = shape.rule,
        capacity = math.floor(shape.capacity / shape.unit), level = math.floor(bucket.level / shape.unit),
        held = math.floor(bucket.held / shape.unit) }
end

local function domain_view(domain)
    local config = read_json(redis.call("HGET", KEYS[1], "config|" .. domain), { -1, "", "", {}, {}, 0 })
    return { version = config[1], hash = config[2], source = config[3], applied_ms = pool.now - config[6],
        in_flight = count_in_flight(domain), concurrency = 0, paused_ms = 0, lanes = {} }
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
            buckets[i] = amounts_of(bucket)
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

-- The first waiting ticket of a queue, and what it waits for.
local function head_view(queue)
    local id, process = first_of_queue(queue)
    local ticket = id and find_ticket(id)
    if not ticket then
        return nil
    end
    local verdict = choose(ticket)
    local wait, resource, key, need, level, most, tick = binding_of(verdict)
    return { ticket = id, process = process, band = ticket.band, tenant = ticket.tenant, tag = string.match(ticket.topic, "([^|]*)$"),
        waited_ms = pool.now - ticket.enqueued_at, input = ticket.input, output = ticket.output,
        deadline_ms = ticket.at - pool.lease, key = key, wait_ms = wait >= 0 and wait or nil,
        refusal = verdict.refusal, resource = resource, tick_ms = most > 0 and tick or nil,
        need = most > 0 and need or nil, level = most > 0 and level or nil, limit = most > 0 and most or nil }
end

local function queue_views()
    local views = {}
    for _, queue in ipairs(queue_names()) do
        local armed, lane, keyset = pool.queues[queue], string.match(queue, "^(.*)|([^|]+)$")
        views[#views + 1] = { lane = lane, keyset = keyset, waiting = count_waiting(queue), head = head_view(queue),
            armed_by = armed[3], armed_ms = armed[1] > 0 and armed[1] - pool.now or nil }
    end
    return views
end

local function process_views(ids)
    local views = {}
    for _, id in ipairs(ids) do
        local process, queued = process_of(id) or { 0, 0, 0, 0 }, 0
        for queue in pairs(pool.queues) do
            queued = queued + count_range("w|" .. queue .. "|" .. id)
        end
        views[id] = { info = read_json(redis.call("HGET", KEYS[1], "info|" .. id), {}), queued = queued,
            seen_ms = pool.presence - process[1], state = process[3], mailbox = redis.call("LLEN", ARGV[3] .. id),
            leases = count_range("o|" .. id) }
    end
    return views
end
