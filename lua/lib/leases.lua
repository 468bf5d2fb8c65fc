-- lib/leases: a ticket becomes a lease, and a lease ends (ENGINE.md §5).

local EXPIRED_PER_CALL = 100
local grants = {}              -- grants of this call by ticket id: {id, key, fence, spacing_ms}

-- Takes all charges of a ticket from the buckets of a key.
local function take_charges(ticket, domains, lane)
    local spacing = 0
    ticket.charges = {}
    for _, field in ipairs(fields_of(domains, lane)) do
        local record = record_of(field)
        for _, bucket in ipairs(record and record.buckets or {}) do
            local units, hold = need_of(bucket, ticket)
            local charge = { field = field, code = bucket.code, tick = bucket.tick, rule = bucket.rule,
                reserved = units, hold = hold, charged = units }
            take(bucket, charge)
            ticket.charges[#ticket.charges + 1] = charge
            record.dirty = true
            if bucket.code == 1 then
                spacing = math.max(spacing, ceil_div(bucket.unit, bucket.rate) * bucket.tick)
            end
        end
    end
    return spacing
end

-- Writes the lease; in flight is membership of the domain's set.
local function write_lease(ticket, domains, is_new)
    local members = { 0, "o|" .. ticket.process .. "|" .. ticket.id }
    for _, domain in ipairs(domains) do
        in_flight[domain] = in_flight[domain] and in_flight[domain] + 1
        members[#members + 1] = 0
        members[#members + 1] = "f|" .. domain .. "|" .. ticket.id
    end
    ticket.domains = table.concat(domains, "|")
    redis.call("ZADD", KEYS[3], unpack(members))
    redis.call("ZADD", KEYS[4], int(pool.lease + pool.ttl), ticket.id)
    write_ticket(ticket, is_new)
end

local function grant(ticket, verdict, is_new)
    local lane = string.match(ticket.queue, "^(.*)|[^|]+$")
    pool.fence = pool.fence + 1
    ticket.state, ticket.order, ticket.at, ticket.key = "g", pool.fence, pool.now, verdict.key
    local spacing = take_charges(ticket, verdict.domains, lane)
    write_lease(ticket, verdict.domains, is_new)
    grants[ticket.id] = { ticket.id, ticket.key, ticket.order, spacing, process = ticket.process }
end

-- Actual units of a charge; nil where the caller does not know.
local function units_of(charge, input, output)
    local amount = amount_of(charge.code, input, output)
    return amount and amount * 60000 or nil
end

-- Ends a lease in `state`, or adds to one that had expired: never frees a slot twice.
local function settle(ticket, input, output, state)
    local late = ticket.state == "x"
    for _, charge in ipairs(ticket.charges) do
        local bucket = bucket_of(charge)
        if bucket then
            settle_charge(bucket, charge, units_of(charge, input, output), late)
        end
    end
    if not late then
        release(ticket)
    end
    remember_end(ticket, late and "x" or state)
end

local function report_progress(ticket, output)
    local changed = false
    for _, charge in ipairs(ticket.charges) do
        local bucket = charge.rule == AS_PRODUCED and output * 60000 > charge.charged and bucket_of(charge)
        if bucket then
            charge_progress(bucket, charge, output * 60000)
            changed = true
        end
    end
    return changed
end

-- A lease whose request was not sent: all that it took goes back.
local function undo(ticket)
    for _, charge in ipairs(ticket.charges) do
        local bucket = bucket_of(charge)
        if bucket then
            return_charge(bucket, charge)
        end
    end
    release(ticket)
    remember_end(ticket, "c")
end

-- Ends leases whose holder has not renewed them: what is left of a hold counts as consumed.
local function expire_leases()
    local ids = redis.call("ZRANGEBYSCORE", KEYS[4], "-inf", int(pool.lease), "LIMIT", 0, EXPIRED_PER_CALL)
    for _, id in ipairs(ids) do
        local ticket = find_ticket(id)
        if ticket and ticket.state == "g" then
            settle(ticket, nil, nil, "x")
        else
            redis.call("ZREM", KEYS[4], id)
        end
    end
end
