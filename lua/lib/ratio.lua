-- lib/ratio: how much of what tickets reserve is consumed in the end, learned per lane.
--
-- "ratio|<lane>" of KEYS[1] = {code of the resource: [samples, reserved, actual]}, amounts.

local learned_ratio, learn_ratio, put_ratios
do
    local ENOUGH_RATIOS, MOST_RATIOS = 20, 256     -- to be used; then all is halved, so that new ones count
    local ratios = {}                              -- lane -> {changed, by code}

    local function ratios_of(lane)
        ratios[lane] = ratios[lane] or { known = read_json(redis.call("HGET", KEYS[1], "ratio|" .. lane), {}) }
        return ratios[lane]
    end

    -- Actual over reserved; 0 while too little is known.
    function learned_ratio(lane, code)
        local known = ratios_of(lane).known[string.format("%d", code)]
        return known and known[1] >= ENOUGH_RATIOS and known[2] > 0 and math.min(1, known[3] / known[2]) or 0
    end

    function learn_ratio(lane, code, reserved, actual)
        local entry = ratios_of(lane)
        local name = string.format("%d", code)
        local samples, sum, used = unpack(entry.known[name] or { 0, 0, 0 })
        samples, sum, used = samples + 1, sum + reserved, used + actual
        if samples >= MOST_RATIOS then
            samples, sum, used = math.floor(samples / 2), math.floor(sum / 2), math.floor(used / 2)
        end
        entry.known[name], entry.has_changed = { samples, sum, used }, true
    end

    -- Puts what was learned among the fields that are written at the end.
    function put_ratios(put)
        for lane, entry in pairs(ratios) do
            local out = {}
            for code, known in pairs(entry.has_changed and entry.known or {}) do
                out[#out + 1] = string.format('"%s":[%d,%d,%d]', code, unpack(known))
            end
            if #out > 0 then
                put("ratio|" .. lane, "{" .. table.concat(out, ",") .. "}")
            end
        end
    end
end
