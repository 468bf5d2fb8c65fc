-- lib/explain_lines: which tickets of a flow came before one: its tickets stand in lines (lib/lines). Reads,
-- changes nothing.

local lines_before, order_reached, older_in, own_sums
do
    local LINES = 1000             -- most that are looked at
    local EXACTLY = 2000           -- tickets of which each one counts: more are summed in proportion

    -- The processes with visible lines in a flow, but for those that are silent: their lines are on their way out.
    local function processes_in(flow)
        local found = {}
        for _, member in ipairs(range("h|" .. flow.key, LINES)) do
            local id = string.match(member, "|%d+|([^|]+)|[^|]+$")
            found[id] = not is_parked(id) or nil
        end
        return found
    end

    -- The tickets of a flow that came before an order of arrival: per line where they stand, and how many they
    -- are. The line of `process` counts also where that is silent.
    function lines_before(flow, process, order)
        local lines, total, found = {}, 0, processes_in(flow)
        found[process] = true
        for id in pairs(found) do
            local line = "w|" .. id .. "|" .. flow.key .. "|"
            local from, upto = "[" .. line, "(" .. line .. string.format("%016d", order)
            lines[#lines + 1], total = { from, upto }, total + redis.call("ZLEXCOUNT", KEYS[3], from, upto)
        end
        return lines, total
    end

    -- The order of arrival up to which the first `count` tickets of a flow reach: of several lines about.
    function order_reached(flow, count)
        local reached = 0
        for id in pairs(processes_in(flow)) do
            local line = "w|" .. id .. "|" .. flow.key
            local its = count_range(line)
            local nth = math.min(its, math.ceil(count * its / math.max(1, flow.waiting)))
            local member = nth > 0 and range(line, 1, nth - 1)[1]
            reached = math.max(reached, member and tonumber(string.match(member, "|(%d+)|[^|]+$")) or 0)
        end
        return reached
    end

    -- How many tickets of a band came before a ticket.
    function older_in(queue, band, ticket)
        local older, list, times = 0, flows_in(queue, band)
        for _, flow in ipairs(list) do
            local _, count = lines_before(flow, ticket.process, ticket.order)
            older = older + count * times
        end
        return older
    end

    -- Sums over the tickets of its own flow that came before a ticket.
    function own_sums(flow, ticket)
        local sums, ids = no_tickets(), {}
        local lines, total = lines_before(flow, ticket.process, ticket.order)
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
