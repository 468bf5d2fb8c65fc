-- lib/raising: limits that were cut come back slowly (lib/rates): by a tenth of what is configured in a minute.

--@include lib/rates

local FULL_MS = 600000         -- so long takes all of a limit

local function raise_rates()
    for name, cut in pairs(pool.cuts) do
        local field, kind = string.match(name, "^(.*)|(%d+)$")
        local bucket = bucket_of({ field = field, kind = tonumber(kind) })
        local gain = math.floor(cut[3] * math.min(pool.now - cut[2], FULL_MS) / FULL_MS)
        if not bucket then             -- its limit is gone
            pool.cuts[name], pool.cuts_changed = nil, true
        elseif gain > 0 then
            local rate = math.min(cut[3], bucket.shape.rate + gain)
            cut[2] = cut[2] + ceil_div(gain * FULL_MS, cut[3])
            pool.cuts[name], bucket.cut = rate < cut[3] and cut or nil, rate < cut[3] and cut or nil
            set_rate(record_of(field), bucket, rate)
        end
    end
end
