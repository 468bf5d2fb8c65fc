-- lib/weigh: what stands between a ticket and a key.

local promised_slots = {}      -- domain -> slots that heads before this one reserve
local promised, weigh
do

    -- Units of a bucket that blocked heads will need: of those whose reservation has begun by then.
    function promised(bucket, in_ms)
        local units = 0
        for _, head in ipairs(bucket.heads or {}) do
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
            return 0, 1
        end
        local free = most - count_in_flight(record.domain) - (promised_slots[record.domain] or 0)
        return free < 1 and NEVER or 0, (free - 1) / most, most, math.max(0, free)
    end

    -- All but buckets: outages, pauses and slots. Returns wait, room and what binds.
    local function weigh_service(choice)
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
                local slot_wait, slot_room, slots, free = weigh_slots(record)
                if slot_wait > wait then
                    wait, cause = slot_wait, { resource = "concurrency", slots = slots, free = free }
                end
                room = slot_room < room and slot_room or room
            end
        end
        if #choice.buckets == 0 and room == 1 then     -- no limit at all: the key that is least in use
            room = 1 / (1 + count_in_flight(domains_in(choice.domains)[1]))
        end
        return wait, room, cause
    end

    -- What a ticket takes from a bucket of this shape. Worked out once: domains with equal limits share
    -- their shapes.
    local function remembered_need(ticket, shape)
        shape.asked_by, shape.need = ticket, need_of(shape, ticket)
        return shape.need
    end

    -- The wait as seen `in_ms` from now (0 may go, NEVER not by time alone), the room in the tightest
    -- resource, and what binds. No wait: too large, for ever.
    function weigh(ticket, choice, in_ms)
        local wait, room, cause = 0, 1, nil
        if choice.is_gated then
            wait, room, cause = weigh_service(choice)
        end
        local buckets, is_cold = choice.buckets, ticket.cold == 1
        for i = 1, #buckets do
            local bucket = buckets[i]
            local shape = bucket.shape
            local need = shape.asked_by == ticket and shape.need or remembered_need(ticket, shape)
            if need > shape.fits and is_too_large(shape, ticket) then
                return nil, room, { resource = shape.code, bucket = bucket, need = need }
            end
            local ahead = is_cold and stake_of(shape, ticket) or 0
            if bucket.heads then
                ahead = ahead + promised(bucket, need > shape.capacity and NEVER or in_ms)
            end
            local spare = bucket.level - bucket.held - ahead - need
            if spare < 0 then
                local bucket_wait = wait_for(bucket, need, ahead, pool.now)
                if bucket_wait > wait then
                    wait, cause = bucket_wait, { resource = shape.code, bucket = bucket, need = need }
                end
            end
            local share = spare / shape.capacity
            room = share < room and share or room
        end
        return wait, room, cause
    end
end
