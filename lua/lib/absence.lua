-- lib/absence: processes that stay away, or leave, lose what they have queued (ENGINE.md §4).

local DROPPED_PER_CALL = 100

local function forget(id)
    processes[id] = nil
    pool.forgotten = pool.forgotten or {}
    table.insert(pool.forgotten, id)
end

-- Drops a bounded number of the tickets that a process has queued; true when none is left.
local function drop_line(id)
    local dropped = 0
    for _, queue in ipairs(queue_names()) do
        local left_to_drop = DROPPED_PER_CALL - dropped
        local members = left_to_drop > 0 and range("w|" .. queue .. "|" .. id, left_to_drop) or {}
        for _, member in ipairs(members) do
            remember_end({ id = string.match(member, "([^|]+)$") }, "c")
        end
        remove("ZREM", KEYS[3], members)
        dropped = dropped + #members
    end
    return dropped < DROPPED_PER_CALL
end

-- Parks who is silent though its tickets are not first: each process heads its line once.
local function park_silent()
    for _, queue in ipairs(queue_names()) do
        for _, member in ipairs(range("h|" .. queue, 64)) do
            local id = string.match(member, "([^|]+)|[^|]+$")
            if id ~= pool.caller and is_silent(id) then
                park(id)
            end
        end
    end
end

-- The caller goes, or the first of the parked that is absent for too long.
local function drop_absent(is_beating, is_leaving)
    if is_beating then
        park_silent()
    end
    if is_leaving then
        leave_order(pool.caller)
        while not drop_line(pool.caller) do
        end
        forget(pool.caller)
    end
    for i, id in ipairs(pool.parked) do
        local process = process_of(id) or { pool.presence - ABSENT_MS - 1, 0, 1, 0 }
        if pool.presence - process[1] > ABSENT_MS then
            process[3], process.dirty, processes[id] = 2, true, process
            if drop_line(id) then
                table.remove(pool.parked, i)
                forget(id)
            end
            pool.parked_changed = true
            pool.is_dropping = #pool.parked > 0
            return
        end
    end
end
