-- lib/silence: processes that do not read their mailboxes, or have not been seen (ENGINE.md §4).

local ABSENT_MS = 3000         -- presence this old: what it has queued is dropped
local is_silent, doubt_about, list_parked, park
do
    local DOUBT_MS = 50            -- an unread entry this old: the next grant waits for what comes of it
    local SILENT_MS = 250          -- an unread entry this old: no more grants until it calls

    -- How long the mailbox of a process has held an unread entry, in ms; 0 when it is read.
    local function unread_for(id)
        local process = process_of(id)
        local age = process and process[2] > 0 and pool.now - process[2] or 0
        return age > DOUBT_MS and redis.call("LLEN", pool.mailboxes .. id) > 0 and age or 0
    end

    -- True when no grant may go to this process now: it does not read, or has not been seen.
    function is_silent(id)
        local process = process_of(id)
        if not process or process[3] > 0 or pool.presence - process[1] > ABSENT_MS then
            return true
        end
        return unread_for(id) > SILENT_MS
    end

    -- Milliseconds in which a process in doubt will have read its mailbox, or be silent: 0 is no doubt.
    function doubt_about(id)
        local age = id ~= pool.caller and unread_for(id) or 0
        return age > 0 and SILENT_MS + 1 - age or 0
    end

    -- What a silent process was granted since its last call and has not read, nobody can have sent: it goes
    -- back, and its message with it. Returns whether anything did.
    local function take_back_unread(id, called_at)
        local has_returned = false
        for _, text in ipairs(redis.call("LRANGE", pool.mailboxes .. id, 0, -1)) do
            for _, told in ipairs(cjson.decode(text)[2]) do
                local ticket = find_ticket(told[1])
                if ticket and ticket.state == "g" and ticket.at > called_at then
                    undo(ticket)
                    has_returned = true
                end
            end
        end
        if has_returned then
            redis.call("DEL", pool.mailboxes .. id)
            pool.is_unfinished = true
        end
        return has_returned
    end

    -- Notes that lines of a process may be out of the order.
    function list_parked(id)
        for _, known in ipairs(pool.parked) do
            if known == id then
                return
            end
        end
        pool.parked[#pool.parked + 1] = id
        table.sort(pool.parked)
        pool.parked_changed = true
    end

    -- No grants for a process until it calls; one that lost a grant has to register again then.
    function park(id)
        local process = process_of(id) or { pool.presence - ABSENT_MS, 0, 0, 0, 0, 0, pool.lease }
        process[3], process.dirty = take_back_unread(id, process[4]) and 2 or 1, true
        processes[id] = process
        list_parked(id)
        for _, queue in pairs(pool.queues) do      -- its lines there are looked for in the next call: lib/parking
            pool.is_unfinished = pool.is_unfinished or queue[AT.PARKED] > 0
        end
    end
end
