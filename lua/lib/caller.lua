-- lib/caller: the process whose step this is.

local open_for
do
    local BEFORE = 6               -- texts that lib/records reads first

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

    -- Reads the pool for the operations of the caller, which lives, and reads its mailbox. False when it has to
    -- register: what it, or this pool, knows is not what it was.
    function open_for(calls)
        local fields = keyset_fields(calls)
        local texts = open_pool(ARGV[1], fields)
        local process = processes[pool.caller]
        if pool.was_waited_in then                  -- who waits must hear of it: as after lost writes
            pool.epoch = pool.epoch .. "'"
        end
        if not texts or not process or process[3] > 1 or pool.epoch ~= ARGV[2] or tonumber(ARGV[4]) > pool.fence then
            return false
        end
        for i = 1, #fields do
            if not texts[i + BEFORE] then
                return false
            end
            keysets[string.sub(fields[i], 8)] = cjson.decode(texts[i + BEFORE])
        end
        pool.was_parked = process[3] == 1
        process[1], process[2] = pool.presence, process[2] > 0 and pool.now or 0
        process[3], process[4], process.dirty = 0, pool.lease, true
        return true
    end
end
