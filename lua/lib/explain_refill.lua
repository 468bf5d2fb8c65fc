-- lib/explain_refill: what a supply, the same limit of several keys, has had by some time. Pure, but for `pool.now`.

local units_by, time_for
do
    local TOO_LONG = 2 ^ 40        -- ms: some thirty years

    -- Ticks of a limit that pass in so many ms from now.
    local function ticks_in(shape, ms)
        return math.floor((pool.now + ms) / shape.tick) - math.floor(pool.now / shape.tick)
    end

    -- Units of a bucket that tickets can have taken by then: none before its key opens.
    function units_by(source, ms)
        if ms < source.opens then
            return 0
        end
        local bucket, shape = source.bucket, source.bucket.shape
        local closed = ticks_in(shape, source.opens)
        local level = math.min(shape.capacity, bucket.level + shape.rate * closed)
        return level - bucket.held - source.stake + shape.rate * (ticks_in(shape, ms) - closed)
    end

    -- True when a ticket and `count` others before it, that use up `ahead` together, can have gone by then. None
    -- goes in halves on two keys; what it needs must be there, also where it will use less.
    local function can_carry(supply, ahead, count, need, ms)
        if #supply.sources == 1 then
            return units_by(supply.sources[1], ms) >= ahead + need
        end
        local size, gone = count > 0 and ahead > 0 and ahead / count or need, 0
        for _, source in ipairs(supply.sources) do
            gone = gone + math.max(0, math.floor((units_by(source, ms) - need) / size) + 1)
        end
        return gone > count
    end

    -- Milliseconds in which a supply has what a ticket needs, after what goes before it, but not less than
    -- `least`; NEVER: it has not.
    function time_for(supply, ahead, count, need, least)
        if need <= 0 or can_carry(supply, ahead, count, need, least) then
            return least
        end
        local most = least + 1000
        while not can_carry(supply, ahead, count, need, most) do
            least, most = most, most * 2
            if most > TOO_LONG then
                return NEVER
            end
        end
        while most - least > 1 do
            local middle = math.floor((least + most) / 2)
            if can_carry(supply, ahead, count, need, middle) then
                most = middle
            else
                least = middle
            end
        end
        return most
    end
end
