-- lib/ratio: how much of what tickets reserve is consumed in the end, learned per lane.
--
-- "ratio|<lane>" of KEYS[1] = <per resource its code, samples, reserved, actual> (lib/records), amounts.

local learned_ratio, learn_ratio, write_ratios
do
    local ENOUGH, MOST = 20, 256   -- samples: to be used; then all is halved, so that new ones count
    local has_changed = {}         -- lane -> true

    -- What is known of a lane, and where in it a resource begins, or would.
    local function ratio_of(lane, code)
        if not ratios[lane] then
            local text = redis.call("HGET", KEYS[1], "ratio|" .. lane)
            ratios[lane] = text and numbers_in(text) or {}
        end
        local known, at = ratios[lane], 1
        while known[at] and known[at] ~= code do
            at = at + 4
        end
        return known, at
    end

    -- Actual over reserved; 0 while too little is known.
    function learned_ratio(lane, code)
        local known, at = ratio_of(lane, code)
        local samples, sum, used = known[at + 1] or 0, known[at + 2], known[at + 3]
        return samples >= ENOUGH and sum > 0 and math.min(1, used / sum) or 0
    end

    function learn_ratio(lane, code, reserved, actual)
        local known, at = ratio_of(lane, code)
        local samples, sum, used = (known[at + 1] or 0) + 1, (known[at + 2] or 0) + reserved, (known[at + 3] or 0) + actual
        if samples >= MOST then
            samples, sum, used = math.floor(samples / 2), math.floor(sum / 2), math.floor(used / 2)
        end
        known[at], known[at + 1], known[at + 2], known[at + 3], has_changed[lane] = code, samples, sum, used, true
    end

    function write_ratios()
        for lane in pairs(has_changed) do
            written[#written + 1] = "ratio|" .. lane
            written[#written + 1] = packed(ratios[lane])
        end
    end
end
