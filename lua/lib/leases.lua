-- lib/leases: who is in flight, and what a lease has charged (ENGINE.md §5).
--
-- Members of KEYS[3]: f|domain|id is a ticket in flight, o|process|id the lease of a process;
-- KEYS[4] has the expiry of each lease. They are written at the end of the call.

local joined, left = {}, {}    -- {0, member, ...} to add to KEYS[3], members to remove
local renewed, freed = {}, {}  -- {expiry, id, ...} to set in KEYS[4], ids to remove
local touched_tenants = {}     -- tenant -> true: what it waits for may have changed
local corrections = {}         -- {flow, cost}: what ended leases cost more, or less: lib/tenants
local count_in_flight, renew, take_charges, release, bucket_of, report_progress, touch_tenants
do
    local counted = {}             -- domain -> leases in flight when this call began
    local moved = {}               -- domain -> by how many this call changes that

    -- Leases in flight in a domain: its members, there is no second counter.
    function count_in_flight(domain)
        counted[domain] = counted[domain] or count_range("f|" .. domain)
        return counted[domain] + (moved[domain] or 0)
    end

    function renew(ticket)
        pool.expiry = pool.expiry or string.format("%d", pool.lease + pool.ttl)
        pool.expires = math.min(pool.expires, pool.lease + pool.ttl)
        renewed[#renewed + 1] = pool.expiry
        renewed[#renewed + 1] = ticket.id
    end

    -- Puts a lease in flight, in each of its domains.
    local function enter(ticket)
        touched[ticket.id] = true
        joined[#joined + 1] = "0"
        joined[#joined + 1] = "o|" .. ticket.process .. "|" .. ticket.id
        for _, domain in ipairs(domains_in(ticket.domains)) do
            joined[#joined + 1] = "0"
            joined[#joined + 1] = "f|" .. domain .. "|" .. ticket.id
            moved[domain] = (moved[domain] or 0) + 1
        end
        renew(ticket)
    end

    -- Takes all charges of a ticket from the buckets of its holders (a key, a tenant), and puts it in flight.
    -- Its spacing is the time, in ms, in which what it takes at the start from minute limits refills; its
    -- cost the share of the limit that it takes most of (lib/charge).
    function take_charges(ticket, domains, holders)
        local charges, spacing, cost = {}, 0, 0
        for _, holder in ipairs(holders) do
            for _, record in ipairs(holder.records) do
                for _, bucket in ipairs(record.buckets) do
                    local shape = bucket.shape
                    local need = ticket.needs and ticket.needs[shape] or need_of(shape, ticket)
                    charges[#charges + 1], record.dirty = take(bucket, need, record.field), true
                    cost = math.max(cost, cost_of(shape, need))
                    if shape.tick == 1 and shape.rule ~= AS_PRODUCED and not is_of_tenant(record.field) then
                        spacing = math.max(spacing, ceil_div(need, shape.rate))
                    end
                end
            end
        end
        ticket.charges, ticket.domains, ticket.spacing = charges, domains, spacing
        ticket.cost = #charges > 0 and cost or COST_OF_NOTHING
        enter(ticket)
    end

    -- Notes that something of a tenant's own limits has changed.
    function touch_tenants(domains)
        for tenant in string.gmatch(domains, "tenant:([^|]*)") do
            touched_tenants[tenant] = true
        end
    end

    -- Gives a lease's slots back.
    function release(ticket)
        left[#left + 1] = "o|" .. ticket.process .. "|" .. ticket.id
        for _, domain in ipairs(domains_in(ticket.domains)) do
            left[#left + 1] = "f|" .. domain .. "|" .. ticket.id
            moved[domain] = (moved[domain] or 0) - 1
        end
        freed[#freed + 1] = ticket.id
        touch_tenants(ticket.domains)
    end

    local function buckets_by_resource(record)
        record.by_resource = {}
        for _, bucket in ipairs(record.buckets) do
            record.by_resource[bucket.shape.kind % 100] = bucket
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
            local bucket = charge.rule == AS_PRODUCED and output * 60000 > charge.charged and bucket_of(charge)
            if bucket then
                charge_progress(bucket, charge, output * 60000)
                touched[ticket.id] = true
            end
        end
    end
end
