-- lib/raising: limits that were cut come back (lib/rates), within seconds after one cut, within minutes after several.

--@include lib/rates

local MEMORY_MS = 960000       -- so long after it is back the next cut still is one of several
local MOST = 16                -- raised at once; the others with the next heartbeats

local function raise_rates()
    --@include lib/cuts
    local raised = 0
    for name, cut in pairs(pool.cuts) do
        local passed, is_back = pool.now - cut[2], cut[5] >= cut[3]
        local gain = math.floor(cut[3] * math.min(passed, cut[4]) / cut[4])
        if is_back and passed >= MEMORY_MS then
            pool.cuts[name], pool.cuts_changed = nil, true
        elseif not is_back and gain > 0 and raised < MOST then
            local field, kind = string.match(name, "^(.*)|(%d+)$")
            local bucket = bucket_of({ field = field, kind = tonumber(kind) })
            raised = raised + 1
            if bucket then
                cut[5] = math.min(cut[3], cut[5] + gain)
                cut[2] = cut[5] < cut[3] and cut[2] + ceil_div(gain * cut[4], cut[3]) or pool.now
                set_rate(record_of(field), bucket, cut[5])
            else                       -- its limit is gone
                pool.cuts[name], pool.cuts_changed = nil, true
            end
        end
    end
end
