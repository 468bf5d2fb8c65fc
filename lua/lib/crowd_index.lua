-- lib/crowd_index: by when each domain can have how much, kept where a pool has a crowd of keys (lib/crowd).
--
-- Members of KEYS[3]: z|lane|kind % 100|ms|domain, for each bucket: when it was or will be empty, at its rate,
-- 0 while it is nearly full: what a ticket needs refills after that, a lower bound. Kind 0: when the pause of
-- the domain ends, far off while all its slots are taken.

local NO_SLOT = 9999999999999
local NEARLY_FULL, MANY = 7 / 8, 16    -- of a capacity that holds many units

-- The members of a record whose buckets had these levels and holds at a time: [pause, at, level, held...].
local function members_of(field, shapes, state, in_flight)
    local domain, lane = string.match(field, "^(.*)|([^|]+)$")
    local members = {}
    for i = 1, #shapes do
        local shape, available = shapes[i], state[2 * i + 1] - state[2 * i + 2]
        local ticks = math.floor(state[2] / shape.tick) - math.floor(available / shape.rate)
        local full = shape.capacity >= MANY * shape.unit and shape.capacity * NEARLY_FULL or shape.capacity
        ticks = available < full and ticks or 0
        members[i] = string.format("z|%s|%d|%013d|%s", lane, shape.kind % 100, math.max(0, ticks * shape.tick), domain)
    end
    if lane == "*" then
        local is_full = shapes.concurrency > 0 and in_flight >= shapes.concurrency
        members[#members + 1] = string.format("z|*|0|%013d|%s", is_full and NO_SLOT or state[1], domain)
    end
    return members
end

local function state_of(record)
    local state = { record.pause_until, pool.now }
    for i, bucket in ipairs(record.buckets) do
        state[2 * i + 1], state[2 * i + 2] = level_and_idle(bucket), bucket.held
    end
    return state
end

-- Moves the members of the records that this call has changed, or of all that are loaded.
local function index_records(is_all)
    for field, record in pairs(records) do
        if record and (record.dirty or is_all) then
            local counts = record.domain and record.shapes.concurrency > 0
            local after, before = 0, 0
            if counts then
                after, before = count_in_flight(record.domain)
            end
            local old = record.stored_shapes and members_of(field, record.stored_shapes, record.stored, before) or {}
            local new = members_of(field, record.shapes, state_of(record), after)
            for i = 1, math.max(#old, #new) do
                if old[i] ~= new[i] or is_all then
                    left[#left + 1] = old[i]
                    if new[i] then
                        joined[#joined + 1] = "0"
                        joined[#joined + 1] = new[i]
                    end
                end
            end
        end
    end
end
