-- lib/throttle: a 429 pauses its domains for the whole fleet, empties the bucket that it named, and cuts its rate: once for
-- all that was on its way. One that names none cuts the limit of which least is left. What a 429 says of a day is not known:
-- limits of a day are not cut.

--@include lib/rates
local PART = 8                 -- by an eighth, and never below an eighth of what is configured
local FIRST_MS, MOST_MS = 60000, 960000        -- what is cut again before it is back comes back at half the pace

-- A limit refills slower, if the request was granted after the last cut.
local function cut(charge, bucket, fence)
    --@include lib/cuts
    local shape, name = bucket.shape, charge.field .. "|" .. bucket.shape.kind % 100
    local before = pool.cuts[name]
    if shape.tick == 1 and fence > (before and before[1] or 0) then
        local configured = before and before[3] or shape.rate
        local rate = math.max(ceil_div(configured, PART), shape.rate - ceil_div(shape.rate, PART))
        pool.cuts[name] = { pool.fence, pool.now, configured, before and math.min(2 * before[4], MOST_MS) or FIRST_MS, rate }
        set_rate(record_of(charge.field), bucket, rate)
    end
end

local function pause(ticket, pause_ms, code)
    for _, domain in ipairs(domains_in(ticket.domains)) do
        local record = not is_of_tenant(domain) and record_of(domain .. "|*")
        if record then
            record.pause_until, record.dirty = math.max(record.pause_until, pool.now + pause_ms), true
        end
    end
    local tightest, least          -- of the limits per minute, where the 429 names none
    for _, charge in ipairs(ticket.charges) do
        local bucket = not is_of_tenant(charge.field) and bucket_of(charge)
        if bucket and charge.kind % 10 == code then
            bucket.level = math.min(bucket.level, 0)
            cut(charge, bucket, ticket.order)
        elseif bucket and code == 0 and bucket.shape.tick == 1 then
            local share = (bucket.level - bucket.held) / bucket.shape.capacity
            if not least or share < least then
                tightest, least = charge, share
            end
        end
    end
    if tightest then
        cut(tightest, bucket_of(tightest), ticket.order)
    end
end
