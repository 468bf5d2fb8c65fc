-- lib/sums: what waits in a flow, and in each line of it, is summed up as it comes and goes: lib/projection.

local line_of, count_ticket
do
    -- The line of a process in a flow: [waiting, input, output, predicted, 1 where some need was above a capacity].
    function line_of(flow, process)
        local name = process .. "|" .. flow.key
        lines[name] = lines[name] or not flow.queue.is_new and read_json(redis.call("HGET", KEYS[1], "line|" .. name), nil)
            or { 0, 0, 0, 0, 0 }
        return lines[name]
    end

    -- Adds a ticket to what waits in its flow, or takes it away (by = -1).
    function count_ticket(flow, ticket, by)
        complete(flow)
        flow.waiting, flow.input = flow.waiting + by, flow.input + by * ticket.input
        flow.output, flow.predicted = flow.output + by * ticket.output, flow.predicted + by * ticket.predicted
        flow.queue[AT.WAITING + flow.band] = flow.queue[AT.WAITING + flow.band] + by
        local line = line_of(flow, ticket.process)
        line[1], line[2], line[3] = line[1] + by, line[2] + by * ticket.input, line[3] + by * ticket.output
        line[4], line[5], line.is_changed = line[4] + by * ticket.predicted, line[1] > 0 and line[5] or 0, true
        flow.is_changed, pool.queues_changed = true, true
    end
end
