-- lib/explain_plan: what some keys have for a ticket: a plan is {opens, slots, supplies}. Reads, changes nothing.

local plan_of
do
    -- Milliseconds until a key may be used again.
    local function opens_in(choice)
        local outage = pool.outages[choice.key]
        local opens = outage and math.max(0, outage[1] - pool.now) or 0
        for _, record in ipairs(choice.records) do
            opens = math.max(opens, record.pause_until - pool.now)
        end
        return opens
    end

    -- Adds a bucket of a key to its supply; one that several keys draw from counts once.
    local function add_bucket(plan, choice, record, bucket, ticket)
        local shape = bucket.shape
        local id = string.format("%s|%d|%d", record.domain and "*" or "", shape.code, shape.tick)
        local supply = plan.supplies[id] or { shape = shape, keys = 0, sources = {}, is_shared = record.domain ~= nil }
        local source, opens = plan.seen[bucket], opens_in(choice)
        if supply.last ~= choice then
            supply.keys, supply.last, plan.supplies[id] = supply.keys + 1, choice, supply
        end
        if not source then
            source = { bucket = bucket, opens = opens, domain = string.match(record.field, "^(.*)|"),
                stake = ticket.cold == 1 and stake_of(shape, ticket) or 0 }
            plan.seen[bucket] = source
            table.insert(supply.sources, source)
        end
        source.opens = math.min(source.opens, opens)
    end

    -- What the keys in service have for a ticket: when the first of them opens, how many slots are free
    -- (NEVER: any number), and the limits that every one of them has.
    function plan_of(choices, ticket)
        local plan, keys, free = { opens = NEVER, supplies = {}, seen = {} }, 0, {}
        for _, choice in ipairs(choices) do
            if not is_out_of_service(choice) then
                local has_slots = false
                keys, plan.opens = keys + 1, math.min(plan.opens, opens_in(choice))
                for _, record in ipairs(choice.records) do
                    if record.domain and record.shapes.concurrency > 0 then
                        has_slots, free[record.domain] = true, record.shapes.concurrency - count_in_flight(record.domain)
                    end
                    for _, bucket in ipairs(record.buckets) do
                        add_bucket(plan, choice, record, bucket, ticket)
                    end
                end
                plan.slots = not has_slots and NEVER or plan.slots
            end
        end
        for _, slots in pairs(free) do
            plan.slots = (plan.slots or 0) + math.max(0, slots)
        end
        for id, supply in pairs(plan.supplies) do
            plan.supplies[id] = supply.keys == keys and supply or nil
        end
        return plan
    end
end
