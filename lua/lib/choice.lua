-- lib/choice: which key a ticket goes by, and what it waits for when none is free.

local NOTHING = {}
local choices = {}             -- queue -> its keys: {key, domains, records}
local promised_slots = {}      -- domain -> slots that heads before this one reserve

-- The keys that a queue may use, in their order.
local function choices_of(queue)
    if not choices[queue] then
        local lane, keyset = string.match(queue, "^(.*)|([^|]+)$")
        local entries, domains, found = keys_of(keyset) or NOTHING, {}, {}
        for i = 2, #entries, 2 do
            domains[i / 2] = entries[i]
        end
        load_records_of(domains, lane)
        for i, joined in ipairs(domains) do
            found[i] = { key = entries[2 * i - 1], domains = joined, records = records_of(joined, lane) }
        end
        choices[queue] = found
    end
    return choices[queue]
end

local function is_out_of_service(choice)
    local outage = pool.outages[choice.key]
    return outage and outage[1] == 0
end

-- True when the limits of some key are as large as the ticket.
local function fits_somewhere(ticket)
    for _, choice in ipairs(choices_of(ticket.queue)) do
        local fits = not is_out_of_service(choice)
        for _, record in ipairs(choice.records) do
            for _, shape in ipairs(record.shapes) do
                fits = fits and not is_too_large(shape, ticket)
            end
        end
        if fits then return true end
    end
    return false
end

-- Units of a bucket that blocked heads will need: of those whose reservation has begun by then.
local function promised(bucket, in_ms)
    local units = 0
    for _, head in ipairs(bucket.heads or NOTHING) do
        if head.from_ms <= in_ms then
            units = units + head.need
        end
    end
    return units
end

-- The wait for a slot of a domain, and the room that is left there.
local function weigh_slots(record)
    local most = record.shapes.concurrency
    if most == 0 then
        return 0, #record.buckets == 0 and 1 / (1 + count_in_flight(record.domain)) or 1
    end
    local free = most - count_in_flight(record.domain) - (promised_slots[record.domain] or 0)
    return free < 1 and NEVER or 0, (free - 1) / most
end

-- What stands between a ticket and a key, as seen `in_ms` from now: the wait (0 may go, NEVER not by
-- time alone), the room in its tightest resource, and what binds. No wait: too large, for ever.
local function weigh(ticket, choice, in_ms)
    local wait, room, cause = 0, 1, nil
    local outage = pool.outages[choice.key]
    if outage and (outage[1] == 0 or outage[1] > pool.now) then
        wait, cause = outage[1] == 0 and NEVER or outage[1] - pool.now, { resource = "key" }
    end
    for _, record in ipairs(choice.records) do
        if record.pause_until - pool.now > wait then
            wait, cause = record.pause_until - pool.now, { resource = "pause" }
        end
        if record.domain then
            local slot_wait, slot_room = weigh_slots(record)
            if slot_wait > wait then
                wait, cause = slot_wait, { resource = "concurrency" }
            end
            room = math.min(room, slot_room)
        end
        for _, bucket in ipairs(record.buckets) do
            local shape = bucket.shape
            local need = need_of(shape, ticket)
            if need > shape.fits and is_too_large(shape, ticket) then
                return nil, room, { resource = shape.code, bucket = bucket, need = need }
            end
            local ahead = stake_of(shape, ticket) + promised(bucket, need > shape.capacity and NEVER or in_ms)
            local spare = bucket.level - bucket.held - ahead - need
            local bucket_wait = spare < 0 and wait_for(bucket, need, ahead, pool.now) or 0
            if bucket_wait > wait then
                wait, cause = bucket_wait, { resource = shape.code, bucket = bucket, need = need }
            end
            room = math.min(room, spare / shape.capacity)
        end
    end
    return wait, room, cause
end
