-- lib/absence: processes that stay away, or leave, lose what they have queued (ENGINE.md §4).

local drop_absent
do
    --@include lib/dropping

    local LOOKED_AT = 64           -- heads of lines whose processes are looked at in one heartbeat

    local function forget(id)
        processes[id] = false
        dropped[#dropped + 1] = "process|" .. id
        dropped[#dropped + 1] = "info|" .. id
        left[#left + 1] = "n|" .. id
        for i = #pool.parked, 1, -1 do
            if pool.parked[i] == id then
                table.remove(pool.parked, i)
                pool.parked_changed = true
            end
        end
    end

    -- Parks who is silent though its tickets are not first: each process heads a line in its flows. Of many
    -- lines some are looked at, and others the next time.
    local function park_silent()
        for _, name in ipairs(queue_names()) do
            local prefix = "h|" .. pool.queues[name][AT.NUMBER]
            local lines, skipped = count_range(prefix), 0
            if lines > LOOKED_AT then
                skipped = pool.fence * LOOKED_AT % lines
            end
            for _, member in ipairs(range(prefix, LOOKED_AT, skipped)) do
                local id = string.match(member, "|%d+|([^|]+)|[^|]+$")
                if not is_parked(id) and is_silent(id) then
                    park(id)
                end
            end
        end
    end

    -- Drops a part of what an absent process has queued; it is forgotten when nothing is left.
    local function drop_parked(id)
        local process = process_of(id) or { 0, 0, 1, 0, 0, 0, pool.lease }
        process[3], process.dirty, processes[id] = 2, true, process
        if drop_line(id) then
            forget(id)
        end
        pool.is_dropping = #pool.parked > 0
    end

    -- The caller goes, like one that is absent for too long.
    local function go_away()
        if drop_line(pool.caller) then
            forget(pool.caller)
            return
        end
        left[#left + 1] = "n|" .. pool.caller
        local process = processes[pool.caller]
        process[1], process[3] = pool.presence - ABSENT_MS - 1, 2
        list_parked(pool.caller)
    end

    -- The caller goes, or the first of the parked that is absent for too long. First those that are back get their
    -- lines back.
    function drop_absent()
        if pool.is_beating then
            park_silent()
        end
        if pool.is_leaving then
            go_away()
        end
        bring_back()
        for _, id in ipairs(pool.parked) do
            local process = process_of(id)
            if not process or pool.presence - process[1] > ABSENT_MS then
                drop_parked(id)
                return
            end
        end
    end
end
