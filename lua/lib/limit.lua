-- lib/limit: what a configured limit means for its bucket (ENGINE.md §2).
--
-- Units: amount * 60000. One tick (a 60000th of the period) refills `rate` units.

local UNIT = 60000
local DAY_MS = 86400000

-- The rate per period, the depth before jitter (units) and the most that may ever be asked
-- for at once (amount). A provider that counts windows gets a shallow bucket whose depth
-- plus refill never exceeds the limit in one window.
local function depth_of(amount, period_ms, burst_ms, window_ms)
    local depth = period_ms == DAY_MS and amount * UNIT or amount * burst_ms
    if window_ms == 0 then
        return amount, depth, amount
    end
    local allowed = math.floor(amount * UNIT / period_ms * window_ms)
    depth = math.min(depth, math.floor(allowed / 10))
    local spared = math.ceil(depth * (period_ms / window_ms) / UNIT)
    return math.max(1, amount - spared), depth, math.max(1, math.floor(allowed / UNIT))
end

-- Returns rate, capacity (units), unit (units of one), most (amount). Depth pays for the
-- jitter between grant and send; where less than one request would be left, a request costs
-- the jitter on top, which spaces requests 60 / limit + J apart.
local function define(code, amount, period_ms, burst_ms, jitter_ms, window_ms)
    local rate, depth, most = depth_of(amount, period_ms, burst_ms, window_ms)
    local jitter = period_ms == DAY_MS and 0 or rate * jitter_ms
    local capacity = depth - jitter
    if capacity >= UNIT then
        return rate, capacity, UNIT, most
    end
    local unit = code == 1 and UNIT + jitter or UNIT
    return rate, unit, unit, most
end
