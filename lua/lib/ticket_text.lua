-- lib/ticket_text: tickets and leases as texts: lib/tickets. A lease is packed by `struct`: no name has a zero byte.

local function encode_queued(t)
    return string.format('["q","%s","%s","%s",%d,%d,%d,%d,%d,%d,%d,%d,"%s","%s"]', t.process, t.topic, t.queue,
        t.order, t.input, t.output, t.predicted, t.cold, t.enqueued_at, t.at, t.band, t.tenant, t.key)
end

local function encode_charges(charges)
    local out, field = {}, nil
    for i = 1, #charges do
        local charge = charges[i]
        out[i] = struct.pack(CHARGE, charge.field ~= field and charge.field or "", charge.kind,
            charge.charged, charge.hold)
        field = charge.field
    end
    return table.concat(out)
end

-- The text of a ticket: one that waits, a lease, or one that expired.
function encode_ticket(t)
    if t.state == "q" then
        return encode_queued(t)
    elseif t.flow then
        t.flow_key = waiting_in(t.flow.queue) > 0 and t.flow.key or ""
    end
    return struct.pack(LEASE, t.state, t.process, t.topic, t.key, t.domains, t.flow_key or "", t.order,
        t.at, t.spacing or 0, t.cost, t.teaches) .. (t.charges and encode_charges(t.charges) or t.charges_text)
end

-- The charges in a text from a place on.
function decode_charges(text, place)
    local charges, before = {}, nil
    while place <= #text do
        local field, kind, charged, hold, after = struct.unpack(CHARGE, text, place)
        before, place = field ~= "" and field or before, after
        charges[#charges + 1] = { field = before, kind = kind, charged = charged, hold = hold }
    end
    return charges
end

local function decode_ticket(id, text)
    if #text == 1 then
        return { id = id, state = text, charges = {} }
    elseif string.sub(text, 1, 1) ~= "[" then
        local state, process, topic, key, domains, flow, order, at, spacing, cost, teaches, place =
            struct.unpack(LEASE, text)
        return { id = id, state = state, process = process, topic = topic, key = key, domains = domains, order = order,
            at = at, spacing = spacing, flow_key = flow, cost = cost, teaches = teaches,
            charges = decode_charges(text, place) }
    end
    local a = cjson.decode(text)
    return { id = id, state = "q", process = a[2], topic = a[3], queue = a[4], order = a[5], input = a[6],
        output = a[7], predicted = a[8], cold = a[9], enqueued_at = a[10], at = a[11], band = a[12],
        tenant = a[13], key = a[14] }
end
