-- lib/processes: presence, mailboxes and messages of the processes of a pool.

local SILENT_MS = 250          -- an unread entry this old: no more grants until it calls
local ABSENT_MS = 3000         -- presence this old: what it has queued is dropped
local MAILBOX_TTL_MS = 60000

local messages = {}            -- process -> {grants, wakes, ended}: lists of JSON texts

local function process_of(id)
    if processes[id] == nil then
        processes[id] = read_json(redis.call("HGET", KEYS[1], "process|" .. id), false)
    end
    return processes[id]
end

-- True when no grant may go to this process now: it does not read, or has not been seen.
local function is_silent(id)
    local process = process_of(id)
    if not process or process[3] > 0 or pool.presence - process[1] > ABSENT_MS then
        return true
    end
    local unread_for = process[2] > 0 and pool.now - process[2] or 0
    return unread_for > SILENT_MS and redis.call("LLEN", ARGV[3] .. id) > 0
end

-- Queues a message for a process: kind 1 a grant, 2 a wake time, 3 an ended ticket.
local function tell(id, kind, text)
    local box = messages[id] or { {}, {}, {} }
    box[kind][#box[kind] + 1] = text
    messages[id] = box
end

-- One push per process and call. A push is a hint: the ticket's state is the truth.
local function push_messages()
    for id, box in pairs(messages) do
        if id ~= pool.caller then
            local text = string.format("[%.0f,[%s],[%s],[%s]]", pool.now, table.concat(box[1], ","),
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
