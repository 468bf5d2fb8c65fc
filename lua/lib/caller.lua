-- lib/caller: the process whose step this is.

-- The fields with the key sets that enqueues name.
local function keyset_fields(calls)
    local fields, seen = {}, {}
    for i = 1, #calls do
        local call = calls[i]
        if call[1] == "e" and not seen[call[3]] then
            seen[call[3]] = true
            fields[#fields + 1] = "keyset|" .. call[3]
        end
    end
    return fields
end

-- True when the caller, and the key sets with these texts, are known.
local function is_registered(fields, texts)
    for i = 1, #fields do
        if not texts[i + POOL_FIELDS] then
            return false
        end
        keysets[string.sub(fields[i], 8)] = cjson.decode(texts[i + POOL_FIELDS])
    end
    local process = processes[pool.caller]
    return process and process[3] < 2
end

-- The caller lives, and reads its mailbox. Returns whether it had been parked.
local function note_presence()
    local process = processes[pool.caller]
    local was_parked = process[3] == 1
    process[1], process[2] = pool.presence, process[2] > 0 and pool.now or 0
    process[3], process[4] = 0, pool.lease
    process.dirty = true
    return was_parked
end
