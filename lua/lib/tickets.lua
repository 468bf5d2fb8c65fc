-- lib/tickets: the records of tickets and leases (ENGINE.md §1).
--
-- KEYS[2] holds live tickets, id -> text:
--   ["q", process, "lane|tag", queue, order, input, output, predicted, cold, enqueued_at, deadline,
--    band, tenant, preferred key]
--   or, packed by `struct`, what its end needs first: the byte "g", flags, where its charges begin, granted_at by the lease
--   clock, process, "domain|domain", "lane|tag", key, flow or nothing, fence, spacing ms, its cost in its flow
--   (lib/tenants), then per charge: field, or nothing for the one before, kind, charged, hold. Flags: 1 it teaches
--   (lib/learning), 2 it is counted in flight (lib/leases), 4 its lane is not "*"
-- KEYS[5] and KEYS[6] take turns to hold what ended in the last one to two minutes: s settled,
-- c cancelled; an expired one stays as it was, with state x: a late settle may add to its charges.

local ended = {}               -- {id, text, ...} to be remembered
local touched = {}             -- id -> true: to be written, or removed
local tickets = {}             -- id -> ticket, or false: all that were looked up or made in this call
local generation, rotate_ended, load_tickets, find_ticket, remember_end, encode_ticket, decode_charges
do
    local GENERATION_MS = 60000

    function generation(back)
        return KEYS[5 + (math.floor(pool.now / GENERATION_MS) - back) % 2]
    end

    -- Drops the generations that are older than the one before this.
    function rotate_ended()
        local passed = math.floor(pool.now / GENERATION_MS) - math.floor(pool.seen_before / GENERATION_MS)
        for back = 0, math.min(passed, 2) - 1 do
            redis.call("UNLINK", generation(back))
            pool.touched = 0
        end
    end

    --@include lib/layouts
    --@include lib/ticket_text

    -- Looks tickets up: the live ones, then those that ended not long ago.
    function load_tickets(ids)
        local wanted = {}
        for i = 1, #ids do
            if tickets[ids[i]] == nil then
                tickets[ids[i]] = false
                wanted[#wanted + 1] = ids[i]
            end
        end
        for place = 1, #wanted > 0 and 3 or 0 do
            local key = place == 1 and KEYS[2] or generation(place - 2)
            local texts, missing = read_fields(key, wanted), {}
            for i = 1, #wanted do
                if texts[i] then
                    tickets[wanted[i]] = decode_ticket(wanted[i], texts[i])
                else
                    missing[#missing + 1] = wanted[i]
                end
            end
            wanted = missing
        end
    end

    -- The ticket, live or ended not long ago; false when it is not known.
    function find_ticket(id)
        if tickets[id] == nil then
            load_tickets({ id })
        end
        return tickets[id]
    end

    -- Remembers how a ticket ended, so that a repeated call is answered and not repeated.
    function remember_end(ticket, state)
        ticket.state = state
        tickets[ticket.id], touched[ticket.id] = ticket, true
        ended[#ended + 1] = ticket.id
        ended[#ended + 1] = state == "x" and encode_ticket(ticket) or state
    end
end
