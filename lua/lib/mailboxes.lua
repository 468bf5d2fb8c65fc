-- lib/mailboxes: messages to other processes of the pool. A push is a hint: the ticket's state is
-- the truth.

local push_messages
do
    local MAILBOX_TTL_MS = 60000

    -- One push per process and call: [now, grants, wakes, ended]. While a slot of a cluster moves, a mailbox may
    -- be refused: that is no reason to end a step in its midst.
    function push_messages()
        for id, box in pairs(messages) do
            local text = string.format("[%d,[%s],[%s],[%s]]", pool.now, table.concat(box[1], ","),
                table.concat(box[2], ","), table.concat(box[3], ","))
            if redis.pcall("RPUSH", pool.mailboxes .. id, text) == 1 then
                redis.call("PEXPIRE", pool.mailboxes .. id, MAILBOX_TTL_MS)
                local process = process_of(id)
                if process then
                    process[2], process.dirty = pool.now, true
                end
            end
        end
    end
end
