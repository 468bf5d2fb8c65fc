-- lib/throttle: a 429 pauses its domains for the whole fleet, and empties the bucket that it named.

local function pause(ticket, pause_ms, code)
    for _, domain in ipairs(domains_in(ticket.domains)) do
        local record = not is_of_tenant(domain) and record_of(domain .. "|*")
        if record then
            record.pause_until, record.dirty = math.max(record.pause_until, pool.now + pause_ms), true
        end
    end
    for _, charge in ipairs(ticket.charges) do
        local bucket = charge.kind % 10 == code and not is_of_tenant(charge.field) and bucket_of(charge)
        if bucket then
            bucket.level = math.min(bucket.level, 0)
        end
    end
end
