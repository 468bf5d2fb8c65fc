-- lib/express_settles: leases of a step that lib/express takes end, as lib/endings, lib/charge and lib/learning have it.

local ended, left = {}, {}     -- ids and how they ended; members of KEYS[3] that go
local moved = {}               -- domain -> by how many what is in flight there changes
local written, answers = {}, {}
do
    local CHARGE = "^\t([^\t]*)\t(%d+)\t(%-?%d+)\t(%-?%d+)()"
    local lessons, n = nil, 0
    for i = 1, #gone > 0 and #calls or 0 do
        local call = calls[i]
        if call[1] == "s" then
            n = n + 1
            local id, text, lease, record, lesson = call[2], found[n], leases[n], nil, nil
            local input, output, place = call[3], call[4], lease[5]
            if lease[4] == "1" and output > 0 then
                lesson = { topic = lease[2], output = output }
            end
            while place <= #text do
                local field, kind, charged, hold, after = string.match(text, CHARGE, place)
                record, place, kind, charged, hold = field ~= "" and records[field] or record, after, kind + 0, charged + 0, hold + 0
                local s, shape = 2, record and record.shape or {}
                while shape[s] and shape[s] % 100 ~= kind % 100 do
                    s = s + 5
                end
                if not shape[s] then
                    return nil     -- its limit is gone
                end
                local code, b, unit = kind % 10, (s - 2) / 5 * 2 + 3, shape[s + 3]
                local used = (code == 1 and 1 or code == 2 and input or code == 3 and output or input + output) * unit
                local charged_after = charged
                if kind % 1000 >= 200 then             -- as produced
                    charged_after = used > charged and used or charged
                    record[b], record[b + 1] = record[b] - (charged_after - charged), record[b + 1] - hold
                elseif kind % 1000 >= 100 then         -- at the start, adjusted
                    local level, capacity = record[b] + charged - used, shape[s + 2]
                    record[b], charged_after = level < capacity and level or capacity, used
                end
                if lesson and kind % 1000 >= 100 then
                    lesson[#lesson + 1] = { code, floor((charged + hold) / unit), floor(charged_after / unit) }
                end
                record.is_changed = true
            end
            if lesson then
                lessons = lessons or {}
                lessons[#lessons + 1] = lesson
            end
            local domain = lease[3]
            moved[domain] = (moved[domain] or 0) - 1
            left[2 * n - 1], left[2 * n] = "o|" .. lease[1] .. "|" .. id, "f|" .. domain .. "|" .. id
            ended[2 * n - 1], ended[2 * n] = id, "s"
            results[i] = '["s","s"]'
        end
    end
    if lessons then
        local ratios = {}
        --@include lib/output
        --@include lib/learning
        learn()
    end
end
