-- lib/overview: the state of a pool as tables, for people. Reads, changes nothing.

-- Names of KEYS[1]'s fields by their prefix: {limits = {...}, keyset = {...}, ...}.
local function fields_by_kind()
    local kinds = { limits = {}, keyset = {}, key = {}, info = {}, process = {} }
    for _, field in ipairs(redis.call("HKEYS", KEYS[1])) do
        local kind, name = string.match(field, "^(%a+)|(.*)$")
        if kinds[kind] then
            table.insert(kinds[kind], name)
        end
    end
    return kinds
end

local function bucket_view(bucket)
    return { resource = bucket.code, tick_ms = bucket.tick, limit = bucket.rate, rule = bucket.rule,
        capacity = math.floor(bucket.capacity / bucket.unit), level = math.floor(bucket.level / bucket.unit),
        held = math.floor(bucket.held / bucket.unit) }
end

local function domain_views(names)
    local domains = {}
    load_records(names)
    for _, name in ipairs(names) do
        local domain, lane = string.match(name, "^(.*)|([^|]+)$")
        local record, view = record_of(name), domains[domain]
        if not view then
            local config = read_json(redis.call("HGET", KEYS[1], "config|" .. domain), { -1, "", "", {}, {}, 0 })
            view = { version = config[1], hash = config[2], source = config[3], applied_ms = pool.now - config[6],
                in_flight = count_in_flight(domain), concurrency = 0, paused_ms = 0, lanes = {} }
            domains[domain] = view
        end
        view.paused_ms = math.max(view.paused_ms, record.pause_until - pool.now)
        view.concurrency = math.max(view.concurrency, record.concurrency)
        view.lanes[lane] = {}
        for i, bucket in ipairs(record.buckets) do
            view.lanes[lane][i] = bucket_view(bucket)
        end
    end
    return domains
end

local function key_views(keys)
    local views = {}
    for _, key in ipairs(keys) do
        local outage = pool.outages[key]
        local is_out = outage and (outage[1] == 0 or outage[1] > pool.now)
        views[key] = { domains = domains_of(key), reason = is_out and outage[2] or nil,
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
    local verdict, refusal = choose(ticket)
    local bucket = verdict.bucket
    return { ticket = id, process = process, band = ticket.band, tenant = ticket.tenant, tag = ticket.tag,
        waited_ms = pool.now - ticket.enqueued_at, input = ticket.input, output = ticket.output,
        deadline_ms = ticket.at - pool.now, key = verdict.key, wait_ms = verdict.wait, refusal = refusal,
        resource = verdict.resource, tick_ms = bucket and bucket.tick, need = bucket and verdict.need / bucket.unit,
        level = bucket and math.floor((bucket.level - bucket.held) / bucket.unit), limit = bucket and bucket.most }
end

local function queue_views()
    local views = {}
    for queue, armed in pairs(pool.queues) do
        local lane, keyset = string.match(queue, "^(.*)|([^|]+)$")
        views[#views + 1] = { lane = lane, keyset = keyset, waiting = count_waiting(queue), head = head_view(queue),
            armed_by = armed[3], armed_ms = armed[1] > 0 and armed[1] - pool.now or nil }
    end
    return views
end

local function process_views(ids)
    local views = {}
    for _, id in ipairs(ids) do
        local process, queued = process_of(id) or { 0, 0, 0 }, 0
        for queue in pairs(pool.queues) do
            local line = "w|" .. queue .. "|" .. id
            queued = queued + redis.call("ZLEXCOUNT", KEYS[3], "[" .. line .. "|", "(" .. line .. "}")
        end
        views[id] = { info = read_json(redis.call("HGET", KEYS[1], "info|" .. id), {}), queued = queued,
            seen_ms = pool.presence - process[1], state = process[3], mailbox = redis.call("LLEN", ARGV[3] .. id),
            leases = redis.call("ZLEXCOUNT", KEYS[3], "[o|" .. id .. "|", "(o|" .. id .. "}") }
    end
    return views
end
