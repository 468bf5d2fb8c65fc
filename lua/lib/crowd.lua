-- lib/crowd: the choice of a key among many (more than lib/keysets' FEW), at a cost that does not grow with
-- their number (ENGINE.md §4). Some are looked at by chance; only when none of them is free, the index of
-- lib/crowd_index is walked, in the order of the earliest moment at which a key can have what is needed.
--
-- The keys of a crowd have equal limits. entry|<key set>|<n>, |@<key> and |d|<domain> of KEYS[1] are texts
-- "key|domains": of the nth key, of a key, of the first key of a domain.

local SAMPLES = 2              -- the better of two is nearly as good as the best of all
local AT_ONCE, MOST = 4, 64    -- read in one go; looked at in one walk
local FAR = 9999999999999      -- all slots are taken

-- The choices that some entries name, nil where there is none.
local function choices_at(crowd, names)
    local fields, wanted, found = {}, {}, {}
    for i = 1, #names do
        fields[i] = "entry|" .. crowd.keyset .. "|" .. names[i]
    end
    local texts = read_fields(KEYS[1], fields)
    for i = 1, #names do
        local key, domains = string.match(texts[i] or "", "^([^|]+)|(.*)$")
        texts[i] = key and { key, domains, fields_of(domains, crowd.lane) }
        for _, field in ipairs(key and texts[i][3] or {}) do
            wanted[#wanted + 1] = field
        end
    end
    load_records(wanted)
    for i = 1, #names do
        local key = texts[i] and texts[i][1]
        if key and not crowd.choices[key] then
            crowd.choices[key] = choice_of(key, texts[i][2], texts[i][3])
        end
        found[i] = key and crowd.choices[key]
    end
    return found
end

-- The choices that a ticket looks at by chance: the preferred key's, then others.
local function samples_of(crowd, ticket)
    local names, seed = {}, ticket.order or 1
    for i = 1, SAMPLES do
        seed = (seed * 48271 + i) % 2147483647
        names[i] = string.format("%d", seed % crowd.size + 1)
    end
    if ticket.key ~= "" then
        table.insert(names, 1, "@" .. ticket.key)
    end
    return choices_at(crowd, names), #names
end

-- Keeps the better of two verdicts: where the ticket can go first, or has the most room.
local function better(best, ticket, choice)
    local wait, room, cause = weigh_fully(ticket, choice)
    if not wait then
        return best or { choice = choice, cause = cause, wait = NEVER, refusal = "too_large" }
    elseif not best or best.refusal or wait < best.wait or (wait == best.wait and room > best.room) then
        return { choice = choice, wait = wait, room = room, cause = cause }
    end
    return best
end

-- Where to walk: of the lists of the index the one whose first member is the latest, when what is needed is
-- added. Returns prefix and what is added, in ms.
local function list_for(crowd, ticket, choice)
    local prefix, added, latest = "z|*|0", 0, -1
    for _, record in ipairs(choice.records) do
        for _, bucket in ipairs(record.buckets) do
            local shape = bucket.shape
            local need = math.min(need_of(shape, ticket), shape.capacity)
            local list = string.format("z|%s|%d", record.domain and "*" or crowd.lane, shape.kind % 100)
            local shift, first = math.floor(need / shape.rate) * shape.tick, range(list, 1)[1]
            local at = first and tonumber(string.match(first, "|(%d+)|[^|]+$")) + shift or -1
            if at > latest then
                prefix, added, latest = list, shift, at
            end
        end
    end
    local gate = range("z|*|0", 1)[1]
    if gate and tonumber(string.match(gate, "|(%d+)|[^|]+$")) > math.max(latest, pool.now) then
        return "z|*|0", 0
    end
    return prefix, added
end

-- Walks a list. After so many steps it may be that a key which was not looked at is free a little earlier than
-- the best that was: then the ticket's next look is at the earliest moment that is left, if that is to come.
local function walk(crowd, ticket, best, prefix, added)
    for skipped = 0, MOST - 1, AT_ONCE do
        local members, names = range(prefix, AT_ONCE, skipped), {}
        local earliest = {}
        for i, member in ipairs(members) do
            local z, domain = string.match(member, "|(%d+)|([^|]+)$")
            earliest[i], names[i] = tonumber(z) + added - pool.now, "d|" .. domain
        end
        local found = choices_at(crowd, names)
        for i = 1, #members do
            if best.wait == 0 or earliest[i] >= math.min(best.wait, FAR - pool.now) then
                return best
            end
            best = found[i] and not is_out_of_service(found[i]) and better(best, ticket, found[i]) or best
        end
        if #members < AT_ONCE then
            return best
        end
    end
    local last = range(prefix, 1, MOST)[1]
    local at = last and tonumber(string.match(last, "|(%d+)|[^|]+$")) + added - pool.now or NEVER
    return at > 0 and at < best.wait and { choice = best.choice, cause = best.cause, wait = at } or best
end

local function choose_in_crowd(crowd, ticket)
    local samples, count = samples_of(crowd, ticket)
    local best, any = nil, nil
    for i = 1, count do
        local choice = samples[i]
        if choice and not is_out_of_service(choice) then
            any, best = any or choice, better(best, ticket, choice)
            if best.wait == 0 and choice.key == ticket.key then
                return best
            end
        end
    end
    if best and best.wait == 0 then
        return best
    elseif not any or best.refusal or not crowd.is_uniform then
        return choose_among(ticket, choices_of(ticket.queue))
    end
    return walk(crowd, ticket, best, list_for(crowd, ticket, any))
end
