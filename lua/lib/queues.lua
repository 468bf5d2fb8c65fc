-- lib/queues: the queues, "<lane>|<key set>", in which something waits (ENGINE.md §4).
--
-- pool.queues[name] = [wake_at, ticket, process: its timer; number, turn, flows that wait for their
-- tenant's limit, waiting per band (3), virtual time per band (3)]. The number is another one each time
-- that a queue comes into being: with the last waiting ticket all that was known of its order goes.

local AT = { NUMBER = 4, TURN = 5, PARKED = 6, WAITING = 7, VIRTUAL = 10,   -- the last two + band
    NEVER = 9999999999999999 }     -- when a flow wakes that time alone does not wake

-- The queue of this name; one that nothing waits in comes into being.
local function queue_of(name)
    local queue = pool.queues[name]
    if not queue then
        pool.seq = pool.seq + 1
        queue = { 0, "", "", pool.seq, 0, 0, 0, 0, 0, 0, 0, 0, is_new = true }
        pool.queues[name] = queue
    end
    queue.name = name
    return queue
end

-- The queues that wait, sorted: no decision hangs on the order of a Lua table.
local function queue_names()
    local names = {}
    for name in pairs(pool.queues) do
        names[#names + 1] = name
    end
    table.sort(names)
    return names
end

local function waiting_in(queue)
    return queue[AT.WAITING] + queue[AT.WAITING + 1] + queue[AT.WAITING + 2]
end

-- The queue with this number; nil when it is no more.
local function queue_numbered(number)
    for name, queue in pairs(pool.queues) do
        if queue[AT.NUMBER] == number then
            return queue_of(name)
        end
    end
    return nil
end
