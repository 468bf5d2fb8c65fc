-- lib/ratio: how much of what tickets reserve is consumed in the end, learned per lane.
--
-- "ratio|<lane>" of KEYS[1] = {code of the resource: [samples, reserved, actual]}, amounts.

local learned_ratio, learn_ratio, write_ratios
do
    local ENOUGH, MOST = 20, 256   -- samples: to be used; then all is halved, so that new ones count
    local has_changed = {}         -- lane -> true

    local function ratios_of(lane)
        ratios[lane] = ratios[lane] or read_json(redis.call("HGET", KEYS[1], "ratio|" .. lane), {})
        return ratios[lane]
    end

    -- Actual over reserved; 0 while too little is known.
    function learned_ratio(lane, code)
        local known = ratios_of(lane)[string.format("%d", code)]
        return known and known[1] >= ENOUGH and known[2] > 0 and math.min(1, known[3] / known[2]) or 0
    end

    function learn_ratio(lane, code, reserved, actual)
        local name = string.format("%d", code)
        local samples, sum, used = unpack(ratios_of(lane)[name] or { 0, 0, 0 })
        samples, sum, used = samples + 1, sum + reserved, used + actual
        if samples >= MOST then
            samples, sum, used = math.floor(samples / 2), math.floor(sum / 2), math.floor(used / 2)
        end
        ratios_of(lane)[name], has_changed[lane] = { samples, sum, used }, true
    end

    function write_ratios()
        for lane in pairs(has_changed) do
            local out = {}
            for code, known in pairs(ratios[lane]) do
                out[#out + 1] = string.format('"%s":[%d,%d,%d]', code, unpack(known))
            end
            written[#written + 1] = "ratio|" .. lane
            written[#written + 1] = "{" .. table.concat(out, ",") .. "}"
        end
    end
end
