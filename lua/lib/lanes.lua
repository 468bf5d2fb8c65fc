-- lib/lanes: the limits of a lane of a domain, and what becomes of its levels when they change.

-- The text of a lane's limits: lib/records. `lane` is {name, concurrency, {{code, amount, period ms,
-- burst ms, jitter ms, window ms, rule}...}}.
local function limits_text(lane)
    local numbers = { lane[2] }
    for i, limit in ipairs(lane[3]) do
        local kind = limit[1] + (limit[3] == DAY_MS and 10 or 0) + 100 * limit[7] + (limit[6] > 0 and 1000 or 0)
        numbers[5 * i - 3] = kind
        numbers[5 * i - 2], numbers[5 * i - 1], numbers[5 * i], numbers[5 * i + 1] = define(limit)
    end
    return packed(numbers)
end

local function leases_in_flight()
    local ids, leases = {}, {}
    for i, member in ipairs(range("o", -1)) do
        ids[i] = string.match(member, "([^|]+)$")
    end
    load_tickets(ids)
    for _, id in ipairs(ids) do
        leases[#leases + 1] = tickets[id] or nil
    end
    return leases
end

-- Where slots were not limited before, what is in flight was not counted.
local function count_leases(domain)
    for _, ticket in ipairs(leases_in_flight()) do
        for _, name in ipairs(domains_in(ticket.domains)) do
            if name == domain then
                joined[#joined + 1] = "0"
                joined[#joined + 1] = "f|" .. domain .. "|" .. ticket.id
                ticket.is_counted, touched[ticket.id] = true, true
            end
        end
    end
end

-- What leases in flight hold in a bucket whose limit had been taken out, and is back.
local function holds_in_flight(field, kind)
    local held = 0
    for _, ticket in ipairs(leases_in_flight()) do
        for _, charge in ipairs(ticket.charges) do
            if charge.field == field and charge.kind % 100 == kind % 100 then
                held = held + charge.hold
            end
        end
    end
    return held
end

-- A new bucket is full. A level carries over in proportion to the capacity; a debt stays what it is.
local function carry_over(field, shape, old)
    for _, before in ipairs(old and old.buckets or {}) do
        if before.shape.kind % 100 == shape.kind % 100 then
            local level = before.level
            if level > 0 and before.shape.capacity ~= shape.capacity then
                level = math.floor(level / before.shape.capacity * shape.capacity)
            end
            return { shape = shape, level = level, held = before.held }
        end
    end
    return { shape = shape, level = shape.capacity, held = holds_in_flight(field, shape.kind) }
end

-- Sets the limits of a lane; after lost writes no level is above 0.
local function apply_lane(domain, lane, is_lost)
    local field, text = domain .. "|" .. lane[1], limits_text(lane)
    local old = record_of(field)
    local record = { field = field, shapes = decode_limits(text), pause_until = old and old.pause_until or 0,
        buckets = {}, dirty = true, stored = old and old.stored, stored_shapes = old and old.stored_shapes }
    for i, shape in ipairs(record.shapes) do
        local bucket = carry_over(field, shape, old)
        bucket.level = is_lost and math.min(bucket.level, 0) or bucket.level
        record.buckets[i] = bucket
        local name = field .. "|" .. shape.kind % 100
        --@include lib/cuts
        pool.cuts_changed, pool.cuts[name] = pool.cuts_changed or pool.cuts[name] ~= nil, nil
    end
    records[field] = record
    if lane[2] > 0 and old and old.shapes.concurrency == 0 then
        count_leases(domain)
    end
    redis.call("HSET", KEYS[1], "limits|" .. field, text)
end
