-- lib/limit: what a configured limit means for its bucket (ENGINE.md §2). Pure; needs lib/bucket.
--
-- Units: amount * 60000. One tick, a 60000th of the period, refills `rate` units.

local UNIT = 60000
local DAY_MS = 86400000

-- A provider that counts windows gets a shallow bucket: what it can hold and what refills in
-- one window never exceed the limit together. Returns rate, depth, and the most in one window.
local function in_windows(amount, depth, window)
    local allowed = amount * window
    depth = math.min(depth, math.floor(allowed / 10))
    return math.max(1, amount - ceil_div(depth, window)), depth, math.max(1, math.floor(allowed / UNIT))
end

-- The cost of a request where less than one would be left in the bucket: it spaces requests
-- 60 / limit + jitter apart, and lets no more than `most` arrive in one window.
local function spaced(amount, jitter, window, most)
    local unit = UNIT + amount * jitter
    if window > 0 then
        unit = math.max(unit, ceil_div((window + jitter) * amount, most))
    end
    return unit
end

-- Returns rate, capacity (units), unit (units of one) and most (the amount that may be asked for
-- at once). Depth, not rate, pays for the jitter between grant and send; one of a day is nothing.
-- `limit` is {code, amount, period ms, burst ms, jitter ms, window ms}.
local function define(limit)
    local code, amount, period_ms, burst_ms, jitter, window_ms = unpack(limit)
    local rate, depth, most = amount, amount * burst_ms, amount
    if period_ms == DAY_MS then
        depth, jitter = amount * UNIT, 0
    end
    local window = math.floor(window_ms * UNIT / period_ms)
    if window > 0 then
        rate, depth, most = in_windows(amount, depth, window)
    end
    local capacity = depth - rate * jitter
    if capacity >= UNIT then
        return rate, capacity, UNIT, most
    elseif code == 1 then
        local unit = spaced(amount, jitter, window, most)
        return amount, unit, unit, most
    end
    return rate, UNIT, UNIT, most
end
