-- lib/explain_lines: which tickets of a flow came before one: its tickets stand in lines (lib/lines). Reads,
-- changes nothing.

local lines_before, own_sums
do
    local LINES = 1000             -- most that are looked at
    local EXACTLY = 2000           -- tickets of which each one counts: more are summed in proportion

    -- The tickets of a flow that came before this one: per line where they stand, and how many they are.
    function lines_before(flow, ticket)
        local lines, total, processes_in = {}, 0, {}
        for _, member in ipairs(range("h|" .. flow.key, LINES)) do
            processes_in[string.match(member, "|%d+|([^|]+)|[^|]+$")] = true
        end
        processes_in[ticket.process] = true
        for process in pairs(processes_in) do
            local line = "w|" .. process .. "|" .. flow.key .. "|"
            local from, upto = "[" .. line, "(" .. line .. string.format("%016d", ticket.order)
            lines[#lines + 1], total = { from, upto }, total + redis.call("ZLEXCOUNT", KEYS[3], from, upto)
        end
        return lines, total
    end

    -- Sums over the tickets of its own flow that came before a ticket.
    function own_sums(flow, ticket)
        local sums, ids = no_tickets(), {}
        local lines, total = lines_before(flow, ticket)
        if total > EXACTLY then
            add_sums(sums, flow, total)
            return sums
        end
        for _, line in ipairs(lines) do
            for _, member in ipairs(redis.call("ZRANGEBYLEX", KEYS[3], line[1], line[2])) do
                ids[#ids + 1] = string.match(member, "([^|]+)$")
            end
        end
        load_tickets(ids)
        for _, id in ipairs(ids) do
            if tickets[id] then
                add_sums(sums, { waiting = 1, input = tickets[id].input, output = tickets[id].output,
                    predicted = tickets[id].predicted }, 1)
            end
        end
        return sums
    end
end
