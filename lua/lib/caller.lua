-- lib/caller: the process whose step this is.

-- True when the caller and all key sets of its enqueues are known; collects the ids in `calls`.
local function is_registered(calls, ids)
    local process, knows_all = processes[pool.caller], true
    for _, call in ipairs(calls) do
        ids[#ids + 1] = type(call[2]) == "string" and call[2] or nil
        knows_all = knows_all and (call[1] ~= "e" or keys_of(call[3]))
    end
    return process and process[3] < 2 and knows_all
end

-- The caller lives, and reads its mailbox. Returns whether it had been parked.
local function note_presence()
    local process = processes[pool.caller]
    local was_parked = process[3] == 1
    process[1], process[2] = pool.presence, process[2] > 0 and pool.now or 0
    process[3], process[4] = 0, pool.now
    process.dirty = true
    return was_parked
end
