-- lib/raising: limits that were cut come back (lib/rates), within seconds after one cut, within minutes after several.

--@include lib/rates

local MEMORY_MS = 960000       -- so long after it is back the next cut still is one of several

local function raise_rates()
    for name, cut in pairs(pool.cuts) do
        local field, kind = string.match(name, "^(.*)|(%d+)$")
        local bucket, passed = bucket_of({ field = field, kind = tonumber(kind) }), pool.now - cut[2]
        local is_back = bucket and bucket.shape.rate >= cut[3]
        local gain = math.floor(cut[3] * math.min(passed, cut[4]) / cut[4])
        if not bucket or (is_back and passed >= MEMORY_MS) then
            pool.cuts[name], pool.cuts_changed = nil, true
        elseif not is_back and gain > 0 then
            local rate = math.min(cut[3], bucket.shape.rate + gain)
            cut[2] = rate < cut[3] and cut[2] + ceil_div(gain * cut[4], cut[3]) or pool.now
            set_rate(record_of(field), bucket, rate)
        end
    end
end
