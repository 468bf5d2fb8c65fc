-- lib/ticket_text: tickets and leases as texts: lib/tickets. A lease's fields stand between tabs, which no name
-- has: they are read without a table in between.

local LEASE = "^(%a)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t(%d+)\t(%d+)\t(%d+)\t([^\t]*)\t(%d+)\t(%d)()"
local CHARGE = "^\t([^\t]*)\t(%d+)\t(%-?%d+)\t(%-?%d+)()"

function encode_queued(t)
    return string.format('["q","%s","%s","%s",%d,%d,%d,%d,%d,%d,%d,%d,"%s","%s"]', t.process, t.topic, t.queue,
        t.order, t.input, t.output, t.predicted, t.cold, t.enqueued_at, t.at, t.band, t.tenant, t.key)
end

-- One charge as text; `before` is the field of the one before it.
function encode_charge(field, before, kind, charged, hold)
    return string.format("\t%s\t%d\t%d\t%d", field ~= before and field or "", kind, charged, hold)
end

local function encode_charges(charges)
    local out, field = {}, nil
    for i = 1, #charges do
        local charge = charges[i]
        out[i] = encode_charge(charge.field, field, charge.kind, charge.charged, charge.hold)
        field = charge.field
    end
    return table.concat(out)
end

function encode_lease(t)
    if t.flow then
        t.flow_key = waiting_in(t.flow.queue) > 0 and t.flow.key or ""
    end
    return string.format("%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%d\t%d%s", t.state, t.process, t.topic, t.key,
        t.domains, t.order, t.at, t.spacing or 0, t.flow_key or "", t.cost, t.teaches,
        t.charges and encode_charges(t.charges) or t.charges_text)
end

-- The charges in a text from a place on.
function decode_charges(text, place)
    local charges, before = {}, nil
    while place <= #text do
        local field, kind, charged, hold, after = string.match(text, CHARGE, place)
        before, place = field ~= "" and field or before, after
        charges[#charges + 1] = charge_of(before, tonumber(kind), tonumber(charged), tonumber(hold))
    end
    return charges
end

local function decode_ticket(id, text)
    if #text == 1 then
        return { id = id, state = text, charges = {} }
    elseif string.sub(text, 1, 1) ~= "[" then
        local state, process, topic, key, domains, order, at, spacing, flow, cost, teaches, place = string.match(text, LEASE)
        return { id = id, state = state, process = process, topic = topic, key = key, domains = domains,
            order = tonumber(order), at = tonumber(at), spacing = tonumber(spacing), flow_key = flow,
            cost = tonumber(cost), teaches = tonumber(teaches), charges = decode_charges(text, place) }
    end
    local a = cjson.decode(text)
    return { id = id, state = "q", process = a[2], topic = a[3], queue = a[4], order = a[5], input = a[6],
        output = a[7], predicted = a[8], cold = a[9], enqueued_at = a[10], at = a[11], band = a[12],
        tenant = a[13], key = a[14] }
end
