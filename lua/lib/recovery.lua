-- lib/recovery: what happens when Redis lost writes (ENGINE.md §6).

-- A pool that does not exist yet.
local function create_pool(epoch, known_epoch)
    pool.epoch, pool.predecessor = epoch, known_epoch
    pool.fence, pool.seq, pool.offset, pool.seen = 0, 0, 0, 0
    pool.lease, pool.presence, pool.touched = 0, 0, 0
    pool.seen_before = pool.time
    pool.now = advance(pool, pool.time, pool.ttl)
end

-- After lost writes no level may be trusted: none stays above 0.
local function empty_all_buckets()
    for _, field in ipairs(redis.call("HKEYS", KEYS[1])) do
        local name = string.match(field, "^limits|(.*)$")
        local record = name and record_of(name)
        if record then
            record.dirty = true
            for _, bucket in ipairs(record.buckets) do
                bucket.level = math.min(bucket.level, 0)
            end
        end
    end
end

-- Whether the caller, with what it knows, proves that this state lost writes: nil, or the epoch
-- that was lost. Its other survivors know that epoch too: they only re-assert.
local function lost_epoch(known_epoch, known_fence, is_reported)
    if known_epoch == "" or known_epoch == pool.predecessor then
        return nil
    elseif known_epoch ~= pool.epoch or known_fence > pool.fence or is_reported then
        return known_epoch
    end
    return nil
end

local function declare_lost(known_epoch, fresh_epoch)
    empty_all_buckets()
    pool.predecessor = known_epoch
    if pool.epoch == known_epoch then
        pool.epoch = fresh_epoch
    end
end

-- Restores a lease that its holder still uses: {id, key, queue, fence, input, output, predicted, cold,
-- tokens so far, band, tenant, tag}.
local function reassert(lease)
    local known = find_ticket(lease[1])
    pool.fence = math.max(pool.fence, lease[4])
    if known then
        return
    end
    local lane = string.match(lease[3], "^(.*)|[^|]+$")
    local domains = domains_of(lease[2])
    local ticket = { id = lease[1], state = "g", process = pool.caller, queue = lease[3], order = lease[4],
        input = lease[5], output = lease[6], predicted = lease[7], cold = lease[8], enqueued_at = pool.now,
        at = pool.now, band = lease[10], tenant = lease[11], tag = lease[12], key = lease[2] }
    load_records(fields_of(domains, lane))
    take_charges(ticket, domains, lane)
    report_progress(ticket, lease[9])
    write_lease(ticket, domains, true)
end
