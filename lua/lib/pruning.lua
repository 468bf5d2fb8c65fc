-- lib/pruning: what processes that are gone have left behind.

local prune_processes, prune_keysets
do
    local FORGET_MS = 60000        -- presence this old, with nothing queued and no lease: forgotten

    local function has_something(id)
        return range("w|" .. id, 1)[1] ~= nil or range("o|" .. id, 1)[1] ~= nil
    end

    -- Removes the records of processes that are gone; returns the others.
    function prune_processes()
        local present = {}
        for _, id in ipairs(names_of("process")) do
            local process = process_of(id)
            if pool.presence - process[1] > FORGET_MS and not has_something(id) then
                processes[id] = nil
                redis.call("HDEL", KEYS[1], "process|" .. id, "info|" .. id)
                redis.call("ZREM", KEYS[3], "n|" .. id)
            else
                present[#present + 1] = id
            end
        end
        return present
    end

    -- Removes the key sets that no process has and no queue waits for.
    function prune_keysets(present)
        local used = {}
        for _, id in ipairs(present) do
            used[read_json(redis.call("HGET", KEYS[1], "info|" .. id), {}).keyset or ""] = true
        end
        for queue in pairs(pool.queues) do
            used[string.match(queue, "([^|]+)$")] = true
        end
        for _, hash in ipairs(names_of("keyset")) do
            local gone = used[hash] and {} or { "keyset|" .. hash }
            for _, name in ipairs(#gone > 0 and names_of("entry") or {}) do
                if string.match(name, "^[^|]+") == hash then
                    gone[#gone + 1] = "entry|" .. name
                end
            end
            send("HDEL", KEYS[1], gone)
        end
    end
end
