-- lib/express_grants: new tickets of a step that lib/express takes go, as lib/output, lib/grants and lib/taking have it.

local live, joined             -- ids and texts of leases; scores and members of KEYS[3]
local counted                  -- domain -> leases in flight there before this call
do
    local before_lane, before_tag, topic, known        -- of the ticket before
    local needs = { 0, 0, 0, 0, 0, 0, 0, 0 }   -- where a record has level and hold: what a ticket takes, and what must be there
    for i = 1, keys and #calls or 0 do
        local call = calls[i]
        if call[1] == "e" then
            local id, lane, tag, input, output, preferred = call[2], call[4], call[10], call[5], call[6], call[11]
            local asked, cold = nil, 1         -- the limits that `needs` are about
            if lane ~= before_lane or tag ~= before_tag then
                --@include lib/express_known
            end
            local predicted = known[1]
            if known[2] < 20 then
                predicted = predicted > 256 and predicted or 256
                predicted = predicted < output and predicted or output
            else
                predicted = predicted < output and predicted or output
                predicted, cold = predicted > 1 and predicted or 1, known[2] < 50 and 2 or 0
            end
            --@include lib/express_choice
            if not best then
                return nil         -- it has to wait, or can never go
            end
            fence, seq = fence + 1, seq + 1
            if cold == 1 then
                answers = answers or {}
                known[4], known.is_changed, answers[topic] = (known[4] or 0) + 1, true, known
            end
            local charges, spacing, cost, is_counted = "", 0, -1, false
            for j = best - 1, best do
                local r = list[j]
                local limits = places[r]
                if limits then
                    --@include lib/express_taking
                end
            end
            local key, domain = keys[best - 1], keys[best]
            local teaches = cold > 0 or (fence % 8 == 0 and floor(now / 10) ~= floor(seen / 10))
            local flags = (teaches and 1 or 0) + (is_counted and 2 or 0) + (lane ~= "*" and 4 or 0)
            local text = struct.pack(LEASE, 103, flags, 42 + #caller + #domain + #topic + #key, lease_clock, caller, domain,
                topic, key, "", fence, spacing, cost) .. charges
            if live then
                local n = #live
                live[n + 1], live[n + 2], n = id, text, #joined
                joined[n + 1], joined[n + 2] = "0", "o|" .. caller .. "|" .. id
            else
                live, joined = { id, text }, { "0", "o|" .. caller .. "|" .. id }
            end
            if is_counted then
                joined[#joined + 1], joined[#joined + 2] = "0", "f|" .. domain .. "|" .. id
                moved = moved or {}
                moved[domain] = (moved[domain] or 0) + 1
            end
            results[i] = string.format('["g","%s",%d,%d]', key, fence, spacing)
        end
    end
end
