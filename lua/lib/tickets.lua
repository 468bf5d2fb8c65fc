-- lib/tickets: the records of tickets and leases (ENGINE.md §1).
--
-- KEYS[2] holds live tickets, id -> JSON:
--   ["q", process, "lane|tag", queue, order, input, output, predicted, cold, enqueued_at, deadline,
--    band, tenant, preferred key]
--   ["g", process, "lane|tag", key, "domain|domain", fence, granted_at, spacing ms, flow or "", its cost
--    there (lib/tenants), then per charge: field, kind, charged, hold]
-- KEYS[5] and KEYS[6] take turns to hold what ended in the last one to two minutes: s settled,
-- c cancelled; an expired one stays as it was, with state x: a late settle may add to its charges.

local ended = {}               -- {id, text, ...} to be remembered
local touched = {}             -- id -> true: to be written, or removed
local tickets = {}             -- id -> ticket, or false: all that were looked up or made in this call
local generation, rotate_ended, load_tickets, find_ticket, remember_end, encode_queued, encode_lease
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
        end
    end

    function encode_queued(t)
        return string.format('["q","%s","%s","%s",%d,%d,%d,%d,%d,%d,%d,%d,"%s","%s"]', t.process, t.topic, t.queue,
            t.order, t.input, t.output, t.predicted, t.cold, t.enqueued_at, t.at, t.band, t.tenant, t.key)
    end

    function encode_lease(t)
        local charges, list = {}, t.charges
        for i = 1, #list do
            local charge = list[i]
            charges[i] = string.format(',"%s",%d,%d,%d', charge.field, charge.kind, charge.charged, charge.hold)
        end
        if t.flow then
            t.flow_key = waiting_in(t.flow.queue) > 0 and t.flow.key or ""
        end
        return string.format('["%s","%s","%s","%s","%s",%d,%d,%d,"%s",%d%s]', t.state, t.process, t.topic, t.key,
            t.domains, t.order, t.at, t.spacing or 0, t.flow_key or "", t.cost, table.concat(charges))
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
        local charges = {}
        for i = 11, #a, 4 do
            charges[(i - 7) / 4] = charge_of(a[i], a[i + 1], a[i + 2], a[i + 3])
        end
        return { id = id, state = a[1], process = a[2], topic = a[3], key = a[4], domains = a[5], order = a[6],
            at = a[7], spacing = a[8], flow_key = a[9], cost = a[10], charges = charges }
    end

    -- Looks tickets up: the live ones, then those that ended not long ago.
    function load_tickets(ids)
        local wanted = {}
        for _, id in ipairs(ids) do
            if tickets[id] == nil then
                tickets[id] = false
                wanted[#wanted + 1] = id
            end
        end
        for _, key in ipairs({ KEYS[2], generation(0), generation(1) }) do
            local texts, missing = read_fields(key, wanted), {}
            for i, id in ipairs(wanted) do
                if texts[i] then
                    tickets[id] = decode_ticket(id, texts[i])
                else
                    missing[#missing + 1] = id
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
        ended[#ended + 1] = state == "x" and encode_lease(ticket) or state
    end
end
