-- lib/express_settles: leases of a step that lib/express takes end, as lib/endings, lib/charge and lib/learning have it.

local results, answers = { false }, nil
local out, last = { false, false, false, false, false, false, false, false }, 2  -- fields and texts to write; the last
do
    local lessons, n = nil, 0
    for i = 1, gone and #calls or 0 do
        local call = calls[i]
        if call[1] == "s" then
            n = n + 1
            local text, place, topic, input, output = stored[3 * n - 2], stored[3 * n - 1], stored[3 * n], call[3], call[4]
            local lesson = topic and output > 0 and { topic = topic, output = output }
            local level, limits
            while place <= #text do
                local field, kind, charged, hold, after = struct.unpack(CHARGE, text, place)
                place = after
                if field ~= "" then
                    --@include lib/express_wanted
                    limits, level = places[place], places[place + 1]
                end
                local s, b, name = 2, 3, kind % 100
                while limits and limits[s] and limits[s] % 100 ~= name do
                    s, b = s + 5, b + 2
                end
                if not (limits and limits[s]) then
                    return nil     -- its limit is gone
                end
                local code, unit, rule, charged_after = name % 10, limits[s + 3], kind % 1000, charged
                local used = (code == 1 and 1 or code == 2 and input or code == 3 and output or input + output) * unit
                if rule >= 200 then                    -- as produced
                    charged_after = used > charged and used or charged
                    level[b], level[b + 1] = level[b] - (charged_after - charged), level[b + 1] - hold
                elseif rule >= 100 then                -- at the start, adjusted
                    local adjusted, full = level[b] + charged - used, limits[s + 2]
                    level[b], charged_after = adjusted < full and adjusted or full, used
                end
                level[2] = false
                if lesson and rule >= 100 then
                    lesson[#lesson + 1] = { code, floor((charged + hold) / unit), floor(charged_after / unit) }
                end
            end
            if lesson then
                lessons = lessons or {}
                lessons[#lessons + 1] = lesson
            end
            results[i] = '["s","s"]'
        end
    end
    if lessons then
        local written, ratios = {}, {}
        answers = {}
        --@include lib/texts
        --@include lib/output
        --@include lib/learning
        learn()
        for n = 1, #written do
            out[last + n] = written[n]
        end
        last = last + #written
    end
end
