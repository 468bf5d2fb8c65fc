-- lib/bucket: integer token buckets. Pure: `now` is an argument.
--
-- A shape is what a limit means: {code, rule, tick, rate, capacity, unit, most, is_window}; a bucket
-- is {shape, level, held, idle}, in units. available = level - held. One tick refills `rate`; what
-- refills beyond the capacity is idle: lost, but where the provider counts windows.

local NEVER = math.huge        -- a wait that time alone does not end

-- The level at `now`, and what has been idle, of a bucket whose level was right at `at_ms`.
local function refill(shape, level, at_ms, now)
    local ticks = now - at_ms
    if shape.tick > 1 then
        ticks = math.floor(now / shape.tick) - math.floor(at_ms / shape.tick)
    end
    local filled = ticks > 0 and level + shape.rate * ticks or level
    if filled <= shape.capacity then
        return filled, 0
    end
    return shape.capacity, shape.is_window and math.min(filled, shape.most * shape.unit) - shape.capacity or 0
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

-- The level with what has been idle, as long as the bucket is full.
local function level_and_idle(bucket)
    return bucket.level == bucket.shape.capacity and bucket.level + (bucket.idle or 0) or bucket.level
end

-- Milliseconds until `need` units are there beside `ahead` that are promised: 0 is now. A need
-- above the capacity waits for a full bucket, and then goes into debt; where the provider counts
-- windows it must also have been idle for as long as the debt lasts, so that none sees too much.
local function wait_for(bucket, need, ahead, now)
    local shape = bucket.shape
    local level, wanted, most = bucket.level, math.min(need, shape.capacity), shape.capacity
    if shape.is_window and need > shape.capacity then
        level, wanted, most = level_and_idle(bucket), need, shape.most * shape.unit
    end
    local deficit = wanted - (level - bucket.held - ahead)
    if deficit <= 0 then
        return 0
    elseif level + deficit > most then
        return NEVER
    end
    return (math.floor(now / shape.tick) + ceil_div(deficit, shape.rate)) * shape.tick - now
end

-- Gives units back; a level never passes the capacity.
local function give_back(bucket, units)
    bucket.level = math.min(bucket.shape.capacity, bucket.level + units)
end
