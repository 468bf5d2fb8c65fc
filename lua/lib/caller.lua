-- lib/caller: the process whose step this is.

local open_for_caller
do
    -- Takes what the operations need from the texts of lib/calls. False where a key set is not known.
    local function take_texts()
        for n = 1, named and #named or 0 do
            local kind, name = string.match(named[n], "^(%a+)|(.*)$")
            local text = opened[n + 2]     -- after what every call reads
            if kind == "output" then
                answers[name] = text and numbers_in(text) or { 0, 0 }
            elseif text then
                keysets[name] = keys_in(text)
            else
                return false
            end
        end
        return true
    end

    -- Looks the tickets of the operations up. An id with a higher number than all before it is new: the caller counts its
    -- tickets. Of an id that it did not count the number is 0.
    local function load_tickets_of(calls)
        local ids, process = {}, processes[pool.caller]
        local highest = process[6]
        for i = 1, #calls do
            local kind, id = calls[i][1], calls[i][2]
            local number = kind == "e" and calls[i][13] or kind == "c" and calls[i][3] or 0
            if kind == "e" and number > process[6] then
                tickets[id] = false
            elseif kind ~= "h" and kind ~= "b" then
                ids[#ids + 1] = id
            end
            highest = number > highest and number or highest
        end
        if highest > process[6] then
            process[6], process.dirty = highest, true
        end
        load_tickets(ids)
    end

    -- True where nothing need be written of a process that calls: it was seen a moment ago, has no unread push, and the
    -- reply can tell it of no grant that waits in its mailbox, for it only ends leases.
    local function is_known_to_live(process)
        for i = 1, #calls do
            if calls[i][1] ~= "s" then
                return false
            end
        end
        return calls[1] and process[2] == 0 and process[3] == 0 and pool.presence - process[1] < 100
    end

    -- Opens the pool for the operations of the caller, which lives, and reads its mailbox; looks their tickets up. False
    -- when it has to register: what it, or this pool, knows is not what it was.
    function open_for_caller()
        local known_fence, caller, known_epoch = struct.unpack("<lss", ARGV[1])        -- lib/calls
        local exists, process = open_pool(caller), processes[caller]
        if pool.was_waited_in then                  -- who waits must hear of it: as after lost writes
            pool.epoch = pool.epoch .. "'"
        end
        if not exists or not process or process[3] > 1 or pool.epoch ~= known_epoch or known_fence > pool.fence
            or not take_texts() then
            return false
        end
        process.dirty = not is_known_to_live(process)
        process[1], process[2] = pool.presence, process[2] > 0 and pool.now or 0
        process[3], process[4] = 0, pool.lease
        rotate_ended()
        load_tickets_of(calls)
        return true
    end
end
