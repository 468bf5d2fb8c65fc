-- lib/leases: who is in flight, and what a lease has charged (ENGINE.md §5).
--
-- Members of KEYS[3]: o|process|id is the lease of a process; f|domain|id is a ticket in flight, where slots
-- are limited or nothing else tells keys apart. They are written at the end of the call.

local joined, left = {}, {}    -- {0, member, ...} to add to KEYS[3], members to remove
local renewed, freed = {}, {}  -- {due, member, ...} to set in KEYS[4], members to remove: lib/expiry
pool.touched_tenants = {}      -- tenant -> true: what it waits for may have changed
local corrections = {}         -- {flow, cost}: what ended leases cost more, or less: lib/tenants
local count_in_flight, take_charges, release, bucket_of, report_progress, touch_tenants
do
    local counted = {}             -- domain -> leases in flight when this call began
    local moved = {}               -- domain -> by how many this call changes that

    -- Leases in flight in a domain: its members, there is no second counter. And how many they were before this call.
    function count_in_flight(domain)
        counted[domain] = counted[domain] or count_range("f|" .. domain)
        return counted[domain] + (moved[domain] or 0), counted[domain]
    end

    --@include lib/layouts
    --@include lib/taking

    -- Notes that something of a tenant's own limits has changed.
    function touch_tenants(domains)
        for tenant in string.gmatch(domains, "tenant:([^|]*)") do
            pool.touched_tenants[tenant] = true
        end
    end

    -- Gives a lease's slots back.
    function release(ticket)
        left[#left + 1] = "o|" .. ticket.process .. "|" .. ticket.id
        local domains = domains_in(ticket.domains)
        for i = 1, ticket.is_counted and #domains or 0 do
            left[#left + 1] = "f|" .. domains[i] .. "|" .. ticket.id
            moved[domains[i]] = (moved[domains[i]] or 0) - 1
        end
        freed[#freed + 1] = ticket.id
        if #domains > 1 then
            touch_tenants(ticket.domains)
        end
    end

    local function buckets_by_resource(record)
        record.by_resource = {}
        for i = 1, #record.buckets do
            record.by_resource[record.buckets[i].shape.kind % 100] = record.buckets[i]
        end
        return record.by_resource
    end

    -- The bucket that a charge was taken from; nil when its limit is gone.
    function bucket_of(charge)
        local record = record_of(charge.field)
        local bucket = record and (record.by_resource or buckets_by_resource(record))[charge.kind % 100]
        if bucket then
            record.dirty = true
        end
        return bucket
    end

    -- Charges the tokens that a lease has produced so far.
    function report_progress(ticket, output)
        for _, charge in ipairs(ticket.charges) do
            local bucket = rule_of(charge.kind) == AS_PRODUCED and output * 60000 > charge.charged and bucket_of(charge)
            if bucket then
                charge_progress(bucket, charge, output * 60000)
                touch_tenants(charge.field)
                touched[ticket.id] = true
            end
        end
    end
end
