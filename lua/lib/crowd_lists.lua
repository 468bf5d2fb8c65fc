-- lib/crowd_lists: the lists of lib/crowd_index, read as far as a call needs them.

local AT_ONCE = 4              -- members, or keys, read in one go

-- What was read of a list: `at`, the earliest ms in which each domain can be free for a need that refills in 0
-- ms, its domains, and the choices that were looked up.
local function list_of(crowd, prefix)
    crowd.lists[prefix] = crowd.lists[prefix] or { at = {}, domains = {}, choices = {} }
    return crowd.lists[prefix]
end

-- `at` of the ith member of a list; nothing when the list ends before.
local function at_of(crowd, prefix, i)
    local list = list_of(crowd, prefix)
    if i > #list.at and not list.is_whole then
        local members = range(prefix, AT_ONCE, #list.at)
        for _, member in ipairs(members) do
            local z, domain = string.match(member, "^z|[^|]+|%d+|(%d+)|(.*)$")
            list.at[#list.at + 1], list.domains[#list.domains + 1] = tonumber(z) - pool.now, "d|" .. domain
        end
        list.is_whole = #members < AT_ONCE
    end
    return list.at[i]
end

-- The choice of the ith member of a list; false when it is no key of this crowd.
local function choice_at(crowd, prefix, i)
    local list = list_of(crowd, prefix)
    if list.choices[i] == nil then
        local names = {}
        for j = i, math.min(i + AT_ONCE - 1, #list.domains) do
            names[#names + 1] = list.domains[j]
        end
        for j, choice in ipairs(choices_at(crowd, names)) do
            list.choices[i + j - 1] = choice
        end
    end
    return list.choices[i]
end

-- How many domains may be free now as far as a list tells, for a need that refills in so many ms; and the
-- earliest ms in which any is.
local function outlook(crowd, prefix, added)
    local now = string.format("(%s|%013d", prefix, math.max(0, pool.now - added + 1))
    return redis.call("ZLEXCOUNT", KEYS[3], "[" .. prefix .. "|", now), (at_of(crowd, prefix, 1) or -NEVER) + added
end

-- Where to walk: the list by which the fewest may be free now; of equals the one that frees its first the last.
-- Returns prefix, and what is added for the need, in ms.
local function list_for(crowd, ticket, choice)
    local best = { "z|*|0", 0, outlook(crowd, "z|*|0", 0) }
    for _, record in ipairs(choice.records) do
        for _, bucket in ipairs(record.buckets) do
            local shape = bucket.shape
            local added = math.floor(math.min(need_of(shape, ticket), shape.capacity) / shape.rate) * shape.tick
            local prefix = string.format("z|%s|%d", record.domain and "*" or crowd.lane, shape.kind % 100)
            local count, earliest = outlook(crowd, prefix, added)
            if count < best[3] or (count == best[3] and earliest > best[4]) then
                best = { prefix, added, count, earliest }
            end
        end
    end
    return best[1], best[2]
end
