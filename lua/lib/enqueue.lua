-- lib/enqueue: new tickets. Idempotent by the ticket's id, which the caller chose.

local new_ticket, grant_at_once
do
    -- enqueue: {"e", id, key set, lane, input, max output, wait ms, band, tenant, tag, preferred key, max queued,
    -- number}; band: 0 interactive, 1 normal, 2 batch
    function new_ticket(op)
        local lane, output = op[4], op[6]
        local topic = lane .. "|" .. op[10]
        local predicted, cold = predict(topic, output)
        pool.seq = pool.seq + 1
        local ticket = { id = op[2], state = "q", process = pool.caller, topic = topic, queue = lane .. "|" .. op[3],
            order = pool.seq, input = op[5], output = output, predicted = predicted, cold = cold, enqueued_at = pool.now,
            at = pool.lease + op[7], band = op[8], tenant = op[9], key = op[11], max_queued = op[12], is_fresh = true }
        tickets[op[2]] = ticket
        return ticket
    end

    -- Where nothing waits, tickets go in the order of arrival as long as they can; returns the others.
    function grant_at_once(calls)
        local rest = {}
        for i = 1, #calls do
            local ticket = not find_ticket(calls[i][2]) and new_ticket(calls[i])
            local verdict = ticket and #rest == 0 and judge(ticket)
            if verdict and verdict.wait == 0 then
                grant(ticket, verdict.choice)
            elseif ticket then
                rest[#rest + 1] = ticket
            end
        end
        return rest
    end
end
