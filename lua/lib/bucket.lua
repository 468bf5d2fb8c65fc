-- lib/bucket: integer token buckets. Pure: `now` is an argument.
--
-- A shape is what a limit means: {code, rule, tick, rate, capacity, unit, most}; a bucket is
-- {shape, level, held}, both in units. available = level - held. One tick refills `rate`.

local NEVER = math.huge        -- a wait that time alone does not end

-- The level at `now`, of a bucket whose level was right at `at_ms`.
local function refill(shape, level, at_ms, now)
    local ticks = math.floor(now / shape.tick) - math.floor(at_ms / shape.tick)
    if ticks <= 0 then
        return level
    end
    return math.min(shape.capacity, level + shape.rate * ticks)
end

-- The least q with q * divisor >= amount, exactly, for products below 2^53.
local function ceil_div(amount, divisor)
    local q = math.floor(amount / divisor)
    while q * divisor < amount do
        q = q + 1
    end
    while q > 0 and (q - 1) * divisor >= amount do
        q = q - 1
    end
    return q
end

-- Milliseconds until `need` units are there beside `ahead` that are promised: 0 is now. A need
-- above the capacity waits for a full bucket, and then goes into debt.
local function wait_for(bucket, need, ahead, now)
    local shape = bucket.shape
    local deficit = math.min(need, shape.capacity) - (bucket.level - bucket.held - ahead)
    if deficit <= 0 then
        return 0
    elseif bucket.level + deficit > shape.capacity then
        return NEVER
    end
    return (math.floor(now / shape.tick) + ceil_div(deficit, shape.rate)) * shape.tick - now
end

-- Gives units back; a level never passes the capacity.
local function give_back(bucket, units)
    bucket.level = math.min(bucket.shape.capacity, bucket.level + units)
end
