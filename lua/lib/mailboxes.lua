-- lib/mailboxes: messages to other processes of the pool. A push is a hint: the ticket's state is
-- the truth.

local process_of, tell, push_messages
do
    local MAILBOX_TTL_MS = 60000
    local messages = {}            -- process -> {grants, wakes, ended}: lists of JSON texts

    function process_of(id)
        if processes[id] == nil then
            processes[id] = read_json(redis.call("HGET", KEYS[1], "process|" .. id), false)
        end
        return processes[id]
    end

    -- Notes a message for a process: kind 1 a grant, 2 a wake time, 3 an ended ticket.
    function tell(id, kind, text)
        messages[id] = messages[id] or { {}, {}, {} }
        table.insert(messages[id][kind], text)
    end

    -- One push per process and call: [now, grants, wakes, ended].
    function push_messages()
        for id, box in pairs(messages) do
            local text = string.format("[%d,[%s],[%s],[%s]]", pool.now, table.concat(box[1], ","),
                table.concat(box[2], ","), table.concat(box[3], ","))
            if redis.call("RPUSH", ARGV[3] .. id, text) == 1 then
                redis.call("PEXPIRE", ARGV[3] .. id, MAILBOX_TTL_MS)
                local process = process_of(id)
                if process then
                    process[2], process.dirty = pool.now, true
                end
            end
        end
    end
end
