-- lib/ticket_text: tickets and leases as texts: lib/tickets.

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
