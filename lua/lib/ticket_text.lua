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
    local flow, is_lanes_own = t.flow_key or "", string.sub(t.topic, 1, 2) ~= "*|"
    local flags = (t.teaches and 1 or 0) + (t.is_counted and 2 or 0) + (is_lanes_own and 4 or 0)
    local place = 42 + #t.process + #t.domains + #t.topic + #t.key + #flow
    return struct.pack(LEASE, string.byte(t.state), flags, place, t.at, t.process, t.domains, t.topic, t.key, flow,
        t.order, t.spacing or 0, t.cost) .. (t.charges and encode_charges(t.charges) or t.charges_text)
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
        local state, flags, place, at, process, domains, topic, key, flow, order, spacing, cost = struct.unpack(LEASE, text)
        return { id = id, state = string.char(state), process = process, topic = topic, key = key, domains = domains,
            order = order, at = at, spacing = spacing, flow_key = flow, cost = cost, teaches = flags % 2 == 1,
            is_counted = flags % 4 >= 2, charges = decode_charges(text, place) }
    end
    local a = cjson.decode(text)
    return { id = id, state = "q", process = a[2], topic = a[3], queue = a[4], order = a[5], input = a[6],
        output = a[7], predicted = a[8], cold = a[9], enqueued_at = a[10], at = a[11], band = a[12],
        tenant = a[13], key = a[14] }
end
