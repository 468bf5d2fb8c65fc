-- lib/projection: when a ticket can start at the earliest (ENGINE.md §4). Only what is sure counts: the
-- tickets of its own process in its flow before it, at the learned ratio of actual to reserved, and every unit that the
-- keys of its queue can have by then.

local earliest_for, earliest_start
do
    local supplies = {}            -- queue -> {"lane|code|tick" -> supply}, of limits that every key has

    -- Units of a bucket that are there, or come back from what is in flight. Pure.
    local function sure_units(bucket, ratio)
        local level, capacity = bucket.level, bucket.shape.capacity
        if bucket.shape.rule == AS_PRODUCED then
            return level - math.floor(ratio * bucket.held)
        elseif bucket.shape.rule == AT_START_ADJUST then
            return level + math.floor((1 - ratio) * math.max(0, capacity - level))
        end
        return level
    end

    -- Units that tickets will take at least: `sums` over them are {waiting, input, output, predicted}. Pure.
    local function sure_need(shape, sums, ratio)
        if shape.rule == AS_PRODUCED then
            return math.floor(ratio * amount_of(shape.code, sums.input, sums.predicted)) * shape.unit
        end
        local amount = shape.code == 1 and sums.waiting or amount_of(shape.code, sums.input, sums.output)
        return (shape.rule == AT_START_ADJUST and math.floor(ratio * amount) or amount) * shape.unit
    end

    local function ratio_of(lane, shape)
        return shape.rule > 0 and learned_ratio(lane, shape.code) or 1
    end

    -- Adds the buckets of one key to the supplies; those of a domain that was met before count once.
    local function add_supply(found, choice, lane, seen)
        for _, record in ipairs(choice.records) do
            for _, bucket in ipairs(record.buckets) do
                local shape = bucket.shape
                local id = string.format("%s|%d|%d", record.domain and "*" or "", shape.code, shape.tick)
                local supply = found[id] or { shape = shape, keys = 0, rate = 0, units = 0, ratio = ratio_of(lane, shape) }
                supply.keys, supply.last, found[id] = supply.keys + (supply.last == choice and 0 or 1), choice, supply
                if not seen[bucket] then
                    seen[bucket], supply.rate = true, supply.rate + shape.rate
                    supply.units = supply.units + math.max(0, sure_units(bucket, supply.ratio))
                end
            end
        end
    end

    local function supplies_of(name)
        if not supplies[name] then
            local found, seen, keys, lane = {}, {}, 0, string.match(name, "^(.*)|[^|]+$")
            for _, choice in ipairs(choices_of(name)) do
                if not is_out_of_service(choice) then
                    keys = keys + 1
                    add_supply(found, choice, lane, seen)
                end
            end
            for id, supply in pairs(found) do
                found[id] = supply.keys == keys and supply or nil
            end
            supplies[name] = found
        end
        return supplies[name]
    end

    -- Milliseconds in which the keys of a queue have what tickets with these sums need at least, and the
    -- supply that binds.
    function earliest_for(name, sums)
        local longest, binding = 0, nil
        for _, supply in pairs(supplies_of(name)) do
            local shape = supply.shape
            local deficit = sure_need(shape, sums, supply.ratio) - supply.units
            if deficit > 0 then
                local wait = (math.floor(pool.now / shape.tick) + ceil_div(deficit, supply.rate)) * shape.tick - pool.now
                if wait > longest then
                    longest, binding = wait, supply
                end
            end
        end
        return longest, binding
    end

    -- True when a ticket needs more than some bucket of its queue's keys can hold: it goes into debt, and
    -- what comes before it may start earlier than the sums tell.
    local function is_large(ticket)
        for _, choice in ipairs(choices_of(ticket.queue)) do
            for _, bucket in ipairs(choice.buckets) do
                if need_of(bucket.shape, ticket) > bucket.shape.capacity then
                    return true
                end
            end
        end
        return false
    end

    -- The lower bound of a new ticket's start. Of what waits before it only its own process's tickets are
    -- sure to stay: another process may end, and its tickets with it.
    function earliest_start(ticket)
        if crowd_of(ticket.queue) then             -- the sums of so many keys are not kept
            return 0
        end
        local line = line_of(flow_of(pool.queues[ticket.queue], ticket.band, ticket.tenant), ticket.process)
        line[5] = line[5] == 0 and is_large(ticket) and 1 or line[5]
        if line[5] == 1 then
            return 0
        end
        return (earliest_for(ticket.queue, { waiting = line[1] + 1, input = line[2] + ticket.input,
            output = line[3] + ticket.output, predicted = line[4] + ticket.predicted }))
    end
end
