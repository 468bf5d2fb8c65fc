-- lib/endings: a lease ends, once: settled, cancelled before it was sent, or expired (ENGINE.md §3).

local lessons = {}             -- {topic, output tokens or nil, {code, reserved, actual}...}: lib/learning
local settle, undo, settle_operation
do
    -- Ends one charge with the amount used, or nil; returns what it cost in the end (lib/charge).
    local function end_charge(charge, amount, late, lesson)
        local bucket = bucket_of(charge)
        if not bucket then
            return 0
        end
        local reserved, unit = charge.charged + charge.hold, bucket.shape.unit
        settle_charge(bucket, charge, amount and amount * unit, late)
        if lesson and amount and charge.kind % 1000 >= 100 then
            lesson[#lesson + 1] = { bucket.shape.code, math.floor(reserved / unit), math.floor(charge.charged / unit) }
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
    function settle(ticket, input, output, state, lesson)
        local late, cost, charges = ticket.state == "x", -1, ticket.charges
        for i = 1, #charges do
            local amount = amount_of(charges[i].kind % 10, input, output)
            local cost_here = end_charge(charges[i], amount, late, lesson)
            cost = is_of_tenant(charges[i].field) and cost or math.max(cost, cost_here)
        end
        if not late then
            release(ticket)
            note_cost(ticket, cost >= 0 and cost or ticket.cost)
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

    -- settle: {"s", id, input or -1, output or -1, pause ms or -1, code of the resource that a 429 named or 0}
    function settle_operation(op)
        local id, input, output, pause_ms = op[2], op[3], op[4], op[5]
        local ticket = find_ticket(id)
        if not ticket or (ticket.state ~= "g" and ticket.state ~= "x") then
            return string.format('["s","%s"]', ticket and ticket.state or "")
        end
        local is_first = ticket.state == "g"
        local is_known = is_first and pause_ms < 0 and input >= 0 and output > 0
        local lesson = is_known and ticket.teaches and { topic = ticket.topic, output = output } or nil
        settle(ticket, input >= 0 and input or nil, output >= 0 and output or nil, "s", lesson)
        lessons[#lessons + 1] = lesson
        if is_first and pause_ms >= 0 then
            --@include lib/throttle
            pause(ticket, pause_ms, op[6])
        end
        return '["s","s"]'
    end
end
