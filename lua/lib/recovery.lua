-- lib/recovery: what happens when Redis lost writes (ENGINE.md §6).

-- A pool that does not exist yet.
local function create_pool(epoch, known_epoch)
    pool.epoch, pool.predecessor = epoch, known_epoch
    pool.fence, pool.seq, pool.offset, pool.seen = 0, 0, 0, 0
    pool.lease, pool.presence, pool.touched, pool.expires, pool.has_crowd = 0, 0, 0, 0, 0
    pool.seen_before = pool.time
    pool.now = advance(pool, pool.time, pool.ttl)
end

-- The epoch that the caller's knowledge proves lost, or nil. Other survivors of it know that epoch
-- too: once it is the predecessor, they only re-assert.
local function lost_epoch(known_epoch, known_fence, is_reported)
    if known_epoch == "" or known_epoch == pool.predecessor then
        return nil
    elseif known_epoch ~= pool.epoch or known_fence > pool.fence or is_reported then
        return known_epoch
    end
    return nil
end

-- After lost writes no level may be trusted: none stays above 0.
local function declare_lost(known_epoch, fresh_epoch)
    local names = names_of("limits")
    load_records(names)
    for _, name in ipairs(names) do
        records[name].dirty = true
        for _, bucket in ipairs(records[name].buckets) do
            bucket.level = math.min(bucket.level, 0)
        end
    end
    pool.predecessor = known_epoch
    if pool.epoch == known_epoch then
        pool.epoch = fresh_epoch
    end
end

-- A ticket that the caller counted is not new any more: it, and those before it, must be looked up (lib/caller).
local function count_up(id)
    local process, counted = processes[pool.caller], pool.caller .. "-"
    local number = string.sub(id, 1, #counted) == counted and tonumber(string.sub(id, #counted + 1), 16) or 0
    process[6] = math.max(process[6], math.min(number, ALL_NUMBERS))
end

-- Restores a lease that its holder still uses: {id, key, queue, fence, input, output, predicted, cold,
-- tokens so far, band, tenant, tag}. A ticket that waits in a restored state had been granted since.
local function reassert(lease)
    local id, key, queue, fence, input, output, predicted, cold, tokens, _, tenant, tag = unpack(lease)
    local known = find_ticket(id)
    pool.fence = math.max(pool.fence, fence)
    count_up(id)
    if known and known.state == "q" then
        local flow = flow_of(queue_of(known.queue), known.band, known.tenant)
        leave_line(known, flow.key)
        count_ticket(flow, known, -1)
        look(flow)
    elseif known then
        return
    end
    local lane, domains, holders = string.match(queue, "^(.*)|[^|]+$"), domains_of(key), {}
    local ticket = { id = id, state = "g", process = pool.caller, topic = lane .. "|" .. tag, order = fence,
        input = input, output = output, predicted = predicted, cold = cold, at = pool.lease, key = key, tenant = tenant,
        teaches = fence % 8 == 0 }
    tickets[id], holders[1] = ticket, { records = records_of(fields_of(domains, lane)) }
    local own = tenant_choice(ticket)
    if own then
        domains, holders[2] = domains .. "|" .. own.domains, own
    end
    take_charges(ticket, domains, holders)
    ticket.charges = decode_charges(ticket.charges_text, 1)
    report_progress(ticket, tokens)
end
