-- lib/crowd_bound: when a ticket can start at the earliest by a key of a crowd (ENGINE.md §4), without a look at each:
-- no bucket is further than the first in the index (lib/crowd_index), so all together have at most that many times
-- as much. Only of limits that are charged at the start, where nothing comes back, and only where all are equal.

-- The first tick in which some bucket of this kind was or will be empty: as the index says, or this call has made it.
local function first_empty(shape, lane, slot)
    local now, member = math.floor(pool.now / shape.tick), range(string.format("z|%s|%d", lane, shape.kind % 100), 1)[1]
    local first = member and math.floor(tonumber(string.match(member, "^z|[^|]+|%d+|(%d+)|")) / shape.tick) or 0
    for field, record in pairs(records) do
        local bucket = record and record.dirty and string.match(field, "([^|]+)$") == lane and record.buckets[slot]
        if bucket then
            first = math.min(first, now - math.floor(bucket.level / bucket.shape.rate))
        end
    end
    return math.max(first, now - ceil_div(shape.capacity, shape.rate))   -- none has more than it can hold
end

-- Milliseconds in which one of the keys of a crowd, like this one, has what a ticket takes, and all together what
-- tickets with these sums take.
local function earliest_in_crowd(crowd, choice, ticket, sums)
    local longest = 0
    for _, record in ipairs(choice.records) do
        for slot, bucket in ipairs(record.buckets) do
            local shape = bucket.shape
            if shape.rule == 0 and not shape.is_window then
                local first = first_empty(shape, record.domain and "*" or crowd.lane, slot)
                local rate = configured_rate(shape, record.field)
                local ticks = math.max(ceil_div(need_of(shape, ticket), rate),
                    ceil_div(sure_need(shape, sums, 1), crowd.size * rate))
                longest = math.max(longest, (first + ticks - 1) * shape.tick - pool.now)
            end
        end
    end
    return longest
end
