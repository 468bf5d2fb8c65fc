-- lib/dropping: tickets that a process has queued go, many at a time, and none of them is decoded: what their flow must
-- know is read from their texts (lib/tickets).

local drop_line
do
    local DROPPED_PER_CALL = 100
    local ORDER_WIDTH = 16         -- digits of an order: lib/lines

    -- What members of lines tell: the ids of the tickets, and which of them wait in which flow: {{key, first, last}...}.
    -- Members of one line begin alike: only its first is taken apart. Those of too many lines are left out of all.
    local function lines_in(members)
        local ids, found, line = {}, {}, nil
        for i = 1, #members do
            if #found == pool.moves and string.find(members[i], line, 1, true) ~= 1 then
                for last = #members, i, -1 do
                    members[last] = nil
                end
                break
            elseif not line or string.find(members[i], line, 1, true) ~= 1 then
                line = string.match(members[i], "^w|[^|]+|%d+|%d|[^|]*|")
                found[#found + 1] = { string.match(line, "^w|[^|]+|(.*)|$"), i }
            end
            ids[i], found[#found][3] = string.sub(members[i], #line + ORDER_WIDTH + 2), i
        end
        return ids, found
    end

    -- Takes tickets of a process off what waits in their flow: one as large as all together, and the others as nothing.
    -- (Texts are added as they are: `tonumber` would read each of them twice.)
    local function count_off(flow, process, texts, first, last)
        local count, input, output, predicted = 0, 0, 0, 0
        local topic, queue = #'["q","' + #process + #'","' + 1, '","' .. flow.queue.name .. '",'
        for i = first, last do
            local _, order = string.find(texts[i] or "", queue, topic, true)
            if order then
                local its_input, its_output, its_predicted = string.match(texts[i], "^%d+,(%d+),(%d+),(%d+),", order + 1)
                count, input = count + 1, input + its_input
                output, predicted = output + its_output, predicted + its_predicted
            end
        end
        count_ticket(flow, { process = process, input = input, output = output, predicted = predicted }, -1)
        count_ticket(flow, { process = process, input = 0, output = 0, predicted = 0 }, 1 - count)
    end

    -- Takes these tickets out of their lines; what is left of the last of these lines is set aside.
    local function clear_lines(process, members, found)
        for i = 1, #found do
            members[#members + 1] = heading(members[found[i][2]])
            members[#members + 1] = aside(process, found[i][1])
        end
        send("ZREM", KEYS[3], members)
        local last = found[#found] and found[#found][1]
        if last and head_of_line(process, last) then
            redis.call("ZADD", KEYS[3], "0", aside(process, last))
        end
    end

    -- Drops a bounded number of the tickets that a process has queued; true when none is left.
    function drop_line(process)
        if pool.moves == 0 then
            return false
        end
        local members = range("w|" .. process, DROPPED_PER_CALL)
        local count, ids, found = #members, lines_in(members)
        local texts, is_last = read_fields(KEYS[2], ids), count < DROPPED_PER_CALL and #members == count
        clear_lines(process, members, found)
        pool.moves = pool.moves - #found
        for _, line in ipairs(found) do
            local flow = flow_keyed(line[1])
            if flow then
                count_off(flow, process, texts, line[2], line[3])
                if flow.order > 0 and flow.process == process then
                    look(flow)
                end
            end
        end
        for i = 1, #ids do
            if tickets[ids[i]] then
                tickets[ids[i]].state = "c"
            end
            ended[#ended + 1] = ids[i]
            ended[#ended + 1] = "c"
        end
        send("HDEL", KEYS[2], ids)
        return is_last
    end
end
