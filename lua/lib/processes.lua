-- lib/processes: presence, mailboxes and messages of the processes of a pool.

local DOUBT_MS = 50            -- an unread entry this old: the next grant waits for what comes of it
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

-- How long the mailbox of a process has held an unread entry, in ms; 0 when it is read.
local function unread_for(id)
    local process = process_of(id)
    local age = process and process[2] > 0 and pool.now - process[2] or 0
    return age > DOUBT_MS and redis.call("LLEN", ARGV[3] .. id) > 0 and age or 0
end

-- True when no grant may go to this process now: it does not read, or has not been seen.
local function is_silent(id)
    local process = process_of(id)
    if not process or process[3] > 0 or pool.presence - process[1] > ABSENT_MS then
        return true
    end
    return unread_for(id) > SILENT_MS
end

-- Milliseconds in which a process in doubt will have read its mailbox, or be silent: 0 is no doubt.
local function doubt_about(id)
    local age = id ~= pool.caller and unread_for(id) or 0
    return age > 0 and SILENT_MS + 1 - age or 0
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
