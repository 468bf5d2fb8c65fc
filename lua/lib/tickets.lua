-- lib/tickets: the records of tickets and leases (ENGINE.md §1).
--
-- KEYS[2] holds live tickets, id -> JSON:
--   ["q", process, "lane|tag", queue, order, input, output, predicted, cold, enqueued_at, deadline,
--    band, tenant, preferred key]
--   ["g", process, "lane|tag", key, "domain|domain", fence, granted_at, spacing ms, flow or "", its cost
--    there (lib/tenants), 1 when it teaches (lib/learning), then per charge: field, "" for the one before, kind, charged, hold]; granted_at is
--    of the lease clock
-- KEYS[5] and KEYS[6] take turns to hold what ended in the last one to two minutes: s settled,
-- c cancelled; an expired one stays as it was, with state x: a late settle may add to its charges.

local ended = {}               -- {id, text, ...} to be remembered
local touched = {}             -- id -> true: to be written, or removed
local tickets = {}             -- id -> ticket, or false: all that were looked up or made in this call
local generation, rotate_ended, load_tickets, load_tickets_of, find_ticket, remember_end, encode_queued, encode_lease
do
    local GENERATION_MS = 60000
    local NO_NUMBER = 2 ^ 50       -- of a process whose tickets must all be looked up

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

    function encode_queued(t)
        return string.format('["q","%s","%s","%s",%d,%d,%d,%d,%d,%d,%d,%d,"%s","%s"]', t.process, t.topic, t.queue,
            t.order, t.input, t.output, t.predicted, t.cold, t.enqueued_at, t.at, t.band, t.tenant, t.key)
    end

    function encode_lease(t)
        local charges, list, field = {}, t.charges, nil
        for i = 1, #list do
            local charge = list[i]
            charges[i] = string.format(',"%s",%d,%d,%d', charge.field ~= field and charge.field or "", charge.kind,
                charge.charged, charge.hold)
            field = charge.field
        end
        if t.flow then
            t.flow_key = waiting_in(t.flow.queue) > 0 and t.flow.key or ""
        end
        return string.format('["%s","%s","%s","%s","%s",%d,%d,%d,"%s",%d,%d%s]', t.state, t.process, t.topic, t.key,
            t.domains, t.order, t.at, t.spacing or 0, t.flow_key or "", t.cost, t.teaches, table.concat(charges))
    end

    local function decode_ticket(id, text)
        if #text == 1 then
            return { id = id, state = text, charges = {} }
        end
        local a = cjson.decode(text)
        if a[1] == "q" then
            return { id = id, state = "q", process = a[2], topic = a[3], queue = a[4], order = a[5], input = a[6],
                output = a[7], predicted = a[8], cold = a[9], enqueued_at = a[10], at = a[11], band = a[12],
                tenant = a[13], key = a[14] }
        end
        local charges, field = {}, nil
        for i = 12, #a, 4 do
            field = a[i] ~= "" and a[i] or field
            charges[(i - 8) / 4] = charge_of(field, a[i + 1], a[i + 2], a[i + 3])
        end
        return { id = id, state = a[1], process = a[2], topic = a[3], key = a[4], domains = a[5], order = a[6],
            at = a[7], spacing = a[8], flow_key = a[9], cost = a[10], teaches = a[11], charges = charges }
    end

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

    -- The number in a ticket's id as processes choose it, "<process>-<hex>"; nil in any other.
    local function number_of(id)
        local before = #pool.caller + 1
        local number = string.sub(id, 1, before) == pool.caller .. "-" and tonumber(string.sub(id, before + 1), 16)
        return number and number < NO_NUMBER and number or nil
    end

    -- Looks the tickets of some operations up. An id with a higher number than all before it is new.
    function load_tickets_of(calls)
        local ids, process = {}, processes[pool.caller]
        local highest = process[6]
        for i = 1, #calls do
            local kind, id = calls[i][1], calls[i][2]
            local number = (kind == "e" or kind == "c") and number_of(id)
            if kind == "e" and number and number > process[6] then
                tickets[id] = false
            elseif kind ~= "h" and kind ~= "b" then
                ids[#ids + 1] = id
            end
            highest = number and number > highest and number or highest
        end
        if highest > process[6] then
            process[6], process.dirty = highest, true
        end
        load_tickets(ids)
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
        ended[#ended + 1] = state == "x" and encode_lease(ticket) or state
    end
end
