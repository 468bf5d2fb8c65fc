-- lib/express_grants: new tickets of a step that lib/express takes go, as lib/output, lib/grants and lib/taking have it.

local live, joined = {}, {}    -- ids and texts of leases; scores and members of KEYS[3]
local counted = {}             -- domain -> leases in flight there before this call
do
    local choices = {}             -- lane -> per place k in `keys` the key's records, at k - 1 and k
    for i = 1, keys and #calls or 0 do
        local call = calls[i]
        if call[1] == "e" then
            local id, lane, input, output, preferred = call[2], call[4], call[5], call[6], call[11]
            local topic = lane .. "|" .. call[10]
            answers[topic] = answers[topic] or read_json(texts[place_of["output|" .. topic]], { 0, 0 })
            local known, cold = answers[topic], 1
            local predicted = math.min(output, math.max(256, known[1]))
            if known[2] >= 20 then
                predicted, cold = math.max(1, math.min(output, known[1])), known[2] < 50 and 2 or 0
            end
            --@include lib/express_choice
            if not best then
                return nil         -- it has to wait, or can never go
            end
            fence, seq = fence + 1, seq + 1
            if cold == 1 then
                known[4], known.is_changed = (known[4] or 0) + 1, true
            end
            local charges, spacing, cost, is_counted = "", 0, -1, false
            for r = best - 1, best do
                local record = list[r]
                if record then
                    --@include lib/express_taking
                end
            end
            local key, domain = keys[best - 1], keys[best]
            live[#live + 1], live[#live + 2] = id, string.format("g\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t\t%d\t%d%s", ARGV[1], topic,
                key, domain, fence, lease_clock, spacing, cost, (cold > 0 or fence % 8 == 0) and 1 or 0,
                charges)
            joined[#joined + 1], joined[#joined + 2] = "0", "o|" .. ARGV[1] .. "|" .. id
            if is_counted then
                joined[#joined + 1], joined[#joined + 2] = "0", "f|" .. domain .. "|" .. id
                moved[domain] = (moved[domain] or 0) + 1
            end
            results[i] = string.format('["g","%s",%d,%d]', key, fence, spacing)
        end
    end
end
