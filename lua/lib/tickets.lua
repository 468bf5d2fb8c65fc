-- lib/tickets: the records of tickets and leases (ENGINE.md §1).
--
-- KEYS[2] holds live tickets: id -> JSON array. KEYS[5] and KEYS[6] take turns to hold what
-- ended in the last one to two minutes. Members of KEYS[3]: f|domain|id is a ticket in flight,
-- o|process|id the lease of a process; KEYS[4] has the expiry of each lease.

local GENERATION_MS = 60000
local added = 0                -- live tickets written first in this call
local in_flight = {}           -- domain -> leases in flight, as far as counted in this call

local function generation(back)
    return KEYS[5 + (math.floor(pool.now / GENERATION_MS) - back) % 2]
end

-- Drops the generations that are older than the one before this.
local function rotate_ended(seen_before)
    local passed = math.floor(pool.now / GENERATION_MS) - math.floor(seen_before / GENERATION_MS)
    if passed > 0 then
        redis.call("UNLINK", generation(0))
    end
    if passed > 1 then
        redis.call("UNLINK", generation(1))
    end
end

-- Leases in flight in a domain: its members, there is no second counter.
local function count_in_flight(domain)
    if not in_flight[domain] then
        in_flight[domain] = redis.call("ZLEXCOUNT", KEYS[3], "[f|" .. domain .. "|", "(f|" .. domain .. "}")
    end
    return in_flight[domain]
end

local function encode_charges(charges)
    local out = {}
    for i, charge in ipairs(charges) do
        out[i] = string.format('["%s",%.0f,%.0f,%.0f,%.0f,%.0f,%.0f]', charge.field, charge.code, charge.tick,
            charge.rule, charge.reserved + 0, charge.hold + 0, charge.charged + 0)
    end
    return table.concat(out, ",")
end

-- `order` is the place in the queue and then the fence; `at` the deadline and then the time
-- of the grant; `key` the one preferred and then the one leased, `domains` its, joined by "|".
local function encode_ticket(t)
    return string.format('["%s","%s","%s",%.0f,%.0f,%.0f,%.0f,%.0f,%.0f,%.0f,"%s","%s","%s","%s","%s",[%s]]',
        t.state, t.process, t.queue, t.order, t.input, t.output, t.predicted, t.cold, t.enqueued_at, t.at,
        t.band, t.tenant, t.tag, t.key, t.domains, encode_charges(t.charges))
end

local function decode_ticket(id, text)
    local a = cjson.decode(text)
    if #a == 1 then
        return { id = id, state = a[1], charges = {} }
    end
    local charges = {}
    for i, c in ipairs(a[16]) do
        charges[i] = { field = c[1], code = c[2], tick = c[3], rule = c[4], reserved = c[5], hold = c[6], charged = c[7] }
    end
    return { id = id, state = a[1], process = a[2], queue = a[3], order = a[4], input = a[5], output = a[6],
        predicted = a[7], cold = a[8], enqueued_at = a[9], at = a[10], band = a[11], tenant = a[12], tag = a[13],
        key = a[14], domains = a[15], charges = charges }
end

-- The ticket, live or ended not long ago; nil when it is not known.
local function find_ticket(id)
    local text = redis.call("HGET", KEYS[2], id) or redis.call("HGET", generation(0), id)
        or redis.call("HGET", generation(1), id)
    return text and decode_ticket(id, text) or nil
end

local function is_live(ticket)
    return ticket ~= nil and (ticket.state == "q" or ticket.state == "g")
end

local function write_ticket(ticket, is_new)
    redis.call("HSET", KEYS[2], ticket.id, encode_ticket(ticket))
    if is_new then
        added = added + 1
    end
end

-- Remembers how a ticket ended, so that a repeated call is answered and not repeated. Only an
-- expired one keeps its charges: a late settle may still add to them.
local function remember_end(ticket, state)
    ticket.state = state
    local text = state == "x" and encode_ticket(ticket) or string.format('["%s"]', state)
    redis.call("HSET", generation(0), ticket.id, text)
end

local function bucket_of(charge)
    local record = record_of(charge.field)
    for _, bucket in ipairs(record and record.buckets or {}) do
        if bucket.code == charge.code and bucket.tick == charge.tick then
            record.dirty = true
            return bucket
        end
    end
    return nil
end

-- Gives a lease's slot back and forgets the lease.
local function release(ticket)
    local members = { "o|" .. ticket.process .. "|" .. ticket.id }
    for domain in string.gmatch(ticket.domains, "[^|]+") do
        members[#members + 1] = "f|" .. domain .. "|" .. ticket.id
        if in_flight[domain] then
            in_flight[domain] = in_flight[domain] - 1
        end
    end
    redis.call("ZREM", KEYS[3], unpack(members))
    redis.call("ZREM", KEYS[4], ticket.id)
    redis.call("HDEL", KEYS[2], ticket.id)
end
