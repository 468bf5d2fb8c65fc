-- lib/crowd_lists: the lists of lib/crowd_index, read as far as a call needs them.

local AT_ONCE = 4              -- members, or keys, read in one go

-- What was read of a list: its members, and of those that were looked at `at`, the earliest ms in which each domain
-- can be free for a need that refills in 0 ms, the names of their domains, and their choices.
local function list_of(crowd, prefix)
    local list = crowd.lists[prefix]
    if not list then
        list = { members = {}, at = {}, domains = {}, choices = {} }
        crowd.lists[prefix] = list
    end
    return list
end

-- `at` of the ith member of a list; nothing when the list ends before.
local function at_of(crowd, prefix, i)
    local list = list_of(crowd, prefix)
    if i > #list.members and not list.is_whole then
        local members = range(prefix, AT_ONCE, #list.members)
        for j = 1, #members do
            list.members[#list.members + 1] = members[j]
        end
        list.is_whole = #members < AT_ONCE
    end
    if not list.at[i] and list.members[i] then
        local ms, domain = string.match(list.members[i], "^(%d+)|(.*)$", #prefix + 2)
        list.at[i], list.domains[i] = ms - pool.now, "d|" .. domain
    end
    return list.at[i]
end

-- The choice of the ith member of a list; false when it is no key of this crowd.
local function choice_at(crowd, prefix, i)
    local list = list_of(crowd, prefix)
    if list.choices[i] == nil then
        local names = {}
        for j = i, math.min(i + AT_ONCE - 1, #list.members) do
            names[#names + 1] = at_of(crowd, prefix, j) and list.domains[j]
        end
        for j, choice in ipairs(choices_at(crowd, names)) do
            list.choices[i + j - 1] = choice
        end
    end
    return list.choices[i]
end

--@include lib/configured

-- The lists that tell of a need, and what is added for it in each, in ms; the earliest ms in which any domain is free.
-- (None refills faster than configured: one that was cut may be the one that was read.)
local function outlooks(crowd, ticket, choice)
    local found = { { "z|*|0", 0, at_of(crowd, "z|*|0", 1) or -NEVER } }
    for _, record in ipairs(choice.records) do
        for _, bucket in ipairs(record.buckets) do
            local shape = bucket.shape
            local added = math.min(need_of(shape, ticket), shape.capacity) / configured_rate(shape, record.field)
            added = math.floor(added) * shape.tick
            local prefix = string.format("z|%s|%d", record.domain and "*" or crowd.lane, shape.kind % 100)
            found[#found + 1] = { prefix, added, (at_of(crowd, prefix, 1) or -NEVER) + added }
        end
    end
    return found
end

-- How many domains may be free now as far as a list tells, for a need that refills in so many ms.
local function count_free(prefix, added)
    local now = string.format("(%s|%013d", prefix, math.max(0, pool.now - added + 1))
    return redis.call("ZLEXCOUNT", KEYS[3], "[" .. prefix .. "|", now)
end

-- Where to walk: the list by which the fewest may be free now; of equals the one that frees its first the last. (Where
-- that is in the future none is free, and nothing need be counted.) Returns prefix, and what is added for the need, in
-- ms.
local function list_for(crowd, ticket, choice)
    local found = outlooks(crowd, ticket, choice)
    local last = found[1]
    for i = 2, #found do
        last = found[i][3] > last[3] and found[i] or last
    end
    if last[3] > 0 then
        return last[1], last[2]
    end
    local best = { "", 0, NEVER, 0 }
    for i = 1, #found do
        local prefix, added, earliest = found[i][1], found[i][2], found[i][3]
        local count = count_free(prefix, added)
        if count < best[3] or (count == best[3] and earliest > best[4]) then
            best = { prefix, added, count, earliest }
        end
    end
    return best[1], best[2]
end
