-- lib/taking: what a grant takes: charges from buckets, a place in flight.

-- Puts a lease in flight, in each of its domains where that counts.
local function enter(ticket, counts)
    touched[ticket.id] = true
    joined[#joined + 1] = "0"
    joined[#joined + 1] = "o|" .. ticket.process .. "|" .. ticket.id
    ticket.is_counted = counts or ticket.charges_text == ""
    local domains = ticket.is_counted and domains_in(ticket.domains) or {}
    for i = 1, #domains do
        joined[#joined + 1] = "0"
        joined[#joined + 1] = "f|" .. domains[i] .. "|" .. ticket.id
        moved[domains[i]] = (moved[domains[i]] or 0) + 1
    end
    local process = process_of(ticket.process)
    if process and process[5] <= pool.lease then   -- the first that may run out: lib/expiry looks then
        process[5], process.dirty = pool.lease + pool.ttl, true
        renewed[#renewed + 1] = string.format("%d", process[5])
        renewed[#renewed + 1] = "@" .. ticket.process
        pool.expires = math.min(pool.expires, process[5])
    end
end

local COST_OF_NOTHING = 1000   -- of a ticket that no bucket limits: all are alike then

-- Takes all charges of a ticket from the buckets of its holders (a key, a tenant), and puts it in flight.
-- Its spacing is the time, in ms, in which what it takes at the start from minute limits refills; its
-- cost the share of the limit of the key that it takes most of (lib/charge).
function take_charges(ticket, domains, holders)
    local texts, spacing, cost, counts, before = {}, 0, -1, false, nil
    for h = 1, #holders do
        for r = 1, #holders[h].records do
            local record = holders[h].records[r]
            counts, record.dirty = counts or record.shapes.concurrency > 0, true
            for i = 1, #record.buckets do
                local bucket = record.buckets[i]
                local shape = bucket.shape
                local need = shape.asked_by == ticket and shape.need or need_of(shape, ticket)
                local charged, hold = take(bucket, need)
                texts[#texts + 1] = struct.pack(CHARGE, record.field ~= before and record.field or "", shape.kind,
                    charged, hold)
                before = record.field
                if h == 1 then
                    local cost_here = cost_of(shape, need)
                    cost = cost_here > cost and cost_here or cost
                    if shape.tick == 1 and shape.rule ~= AS_PRODUCED then
                        spacing = math.max(spacing, ceil_div(need, shape.rate))
                    end
                end
            end
        end
    end
    ticket.charges_text, ticket.domains, ticket.spacing = table.concat(texts), domains, spacing
    ticket.cost = cost >= 0 and cost or COST_OF_NOTHING
    enter(ticket, counts)
end
