-- lib/bucket: integer token buckets. Pure: `now` is an argument.
--
-- A bucket is {code, rate, tick, capacity, unit, most, rule, level, at, held}: level and
-- held in units, at in ticks. available = level - held.

-- Brings the level up to `now`.
local function refill(bucket, now)
    local tick = math.floor(now / bucket.tick)
    if tick > bucket.at then
        bucket.level = math.min(bucket.capacity, bucket.level + bucket.rate * (tick - bucket.at))
        bucket.at = tick
    end
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

-- Milliseconds until `need` units are there beside `reserved` ones: 0 is now, nil is not by
-- refill alone. A need above the capacity waits for a full bucket, and then goes into debt.
local function wait_for(bucket, need, reserved, now)
    local deficit = math.min(need, bucket.capacity) - (bucket.level - bucket.held - reserved)
    if deficit <= 0 then
        return 0
    end
    if bucket.level + deficit > bucket.capacity then
        return nil
    end
    return (bucket.at + ceil_div(deficit, bucket.rate)) * bucket.tick - now
end

-- Gives units back; a level never passes the capacity.
local function give_back(bucket, units)
    bucket.level = math.min(bucket.capacity, bucket.level + units)
end
