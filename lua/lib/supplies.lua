-- lib/supplies: what the keys of a queue are sure to have, and what tickets are sure to need.

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

--@include lib/configured

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
                seen[bucket], supply.rate = true, supply.rate + configured_rate(shape, record.field)
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
