-- lib/endings: a lease ends, once: settled, cancelled before it was sent, or expired (ENGINE.md §3).

local undo, expire_leases, settle_operation, cancel_operation
do
    local EXPIRED_PER_CALL = 100
    local LEARN_FROM = 4           -- one lease in so many: the others cost nothing

    -- Ends one charge with the amount used, or nil; returns what it cost in the end (lib/charge).
    local function end_charge(ticket, charge, amount, late)
        local bucket = bucket_of(charge)
        if not bucket then
            return 0
        end
        local reserved = charge.charged + charge.hold
        settle_charge(bucket, charge, amount and amount * bucket.shape.unit, late)
        if amount and charge.rule > 0 and not late and ticket.order % LEARN_FROM == 0 then
            local unit = bucket.shape.unit
            learn_ratio(string.match(ticket.topic, "^(.*)|"), bucket.shape.code, math.floor(reserved / unit),
                math.floor(charge.charged / unit))
        end
        return cost_of(bucket.shape, charge.charged)
    end

    -- Notes by how much a lease cost more, or less, than it was counted in the order of its tenant.
    local function note_cost(ticket, cost)
        if (ticket.flow_key or "") ~= "" and cost ~= ticket.cost then
            corrections[#corrections + 1] = { ticket.flow_key, cost - ticket.cost }
        end
    end

    -- Ends a lease in `state`, or adds to one that had expired: never frees a slot twice. `input` and
    -- `output` are nil where nobody knows them.
    local function settle(ticket, input, output, state)
        local late, cost = ticket.state == "x", 0
        for _, charge in ipairs(ticket.charges) do
            cost = math.max(cost, end_charge(ticket, charge, amount_of(charge.kind % 10, input, output), late))
        end
        if not late then
            release(ticket)
            note_cost(ticket, #ticket.charges > 0 and cost or ticket.cost)
        end
        remember_end(ticket, late and "x" or state)
    end

    -- A lease whose request was not sent: all that it took goes back.
    function undo(ticket)
        for _, charge in ipairs(ticket.charges) do
            local bucket = bucket_of(charge)
            if bucket then
                return_charge(bucket, charge)
            end
        end
        release(ticket)
        note_cost(ticket, 0)
        remember_end(ticket, "c")
    end

    -- Ends leases whose holder has not renewed them: what is left of a hold counts as consumed.
    function expire_leases()
        if pool.lease < pool.expires then
            return
        end
        local limit = string.format("%d", pool.lease)
        local ids = redis.call("ZRANGEBYSCORE", KEYS[4], "-inf", limit, "LIMIT", 0, EXPIRED_PER_CALL)
        load_tickets(ids)
        for _, id in ipairs(ids) do
            local ticket = tickets[id]
            if ticket and ticket.state == "g" then
                settle(ticket, nil, nil, "x")
            else
                freed[#freed + 1] = id
            end
        end
        local next_one = redis.call("ZRANGE", KEYS[4], #ids, #ids, "WITHSCORES")[2]
        pool.expires = tonumber(next_one or pool.lease + pool.ttl)
    end

    -- A 429 pauses its domains for the whole fleet, and empties the bucket that it named.
    local function pause(ticket, pause_ms, code)
        for _, domain in ipairs(domains_in(ticket.domains)) do
            local record = not is_of_tenant(domain) and record_of(domain .. "|*")
            if record then
                record.pause_until, record.dirty = math.max(record.pause_until, pool.now + pause_ms), true
            end
        end
        for _, charge in ipairs(ticket.charges) do
            local bucket = charge.kind % 10 == code and not is_of_tenant(charge.field) and bucket_of(charge)
            if bucket then
                bucket.level = math.min(bucket.level, 0)
            end
        end
    end

    -- settle: {"s", id, input or -1, output or -1, pause ms or -1, code of the resource that a 429 named or 0}
    function settle_operation(op)
        local _, id, input, output, pause_ms, code = unpack(op)
        local ticket = find_ticket(id)
        if not ticket or (ticket.state ~= "g" and ticket.state ~= "x") then
            return string.format('["s","%s"]', ticket and ticket.state or "")
        end
        local is_first = ticket.state == "g"
        settle(ticket, input >= 0 and input or nil, output >= 0 and output or nil, "s")
        if is_first and pause_ms >= 0 then
            pause(ticket, pause_ms, code)
        elseif is_first and input >= 0 and output > 0 then
            learn_output(ticket.topic, output)
        end
        return '["s","s"]'
    end

    -- cancel: {"c", id}, of what does not wait. An id that is not known leaves a tombstone: an enqueue on
    -- its way is refused.
    function cancel_operation(op)
        local ticket = find_ticket(op[2]) or { id = op[2], state = "", is_fresh = true }
        local before = ticket.state
        if before == "g" then
            undo(ticket)
        elseif before == "" then
            remember_end(ticket, "c")
        end
        return string.format('["c","%s"]', before)
    end
end
