-- lib/express_leases: the leases that end in a step that lib/express takes.

local only = not gone[2] and redis.call("HGET", KEYS[2], gone[1])
local found, met, n_left = gone[2] and redis.call("HMGET", KEYS[2], unpack(gone)), nil, 0
for n = 1, #gone do
    local text, id = only or found and found[n], gone[n]
    if not text or string.byte(text) ~= 103 then       -- "g"
        return nil                 -- not in flight
    end
    local _, flags, place_of_charges, at, process, domain, topic = struct.unpack("bbHlss", text)       -- LEASE begins so
    if string.find(domain, "|", 1, true) then
        return nil                 -- it draws from several domains
    end
    is_watched = is_watched or at <= beaten or process ~= caller
    local is_lanes_own, teaches = flags >= 4, flags % 2 == 1
    topic = (is_lanes_own or teaches) and struct.unpack("s", text, topic)
    for own = 0, is_lanes_own and 1 or 0 do
        local field = domain .. "|" .. (own == 1 and string.match(topic, "^(.*)|") or "*")
        --@include lib/express_wanted
    end
    topic = teaches and topic
    if n == 1 then
        stored, left = { text, place_of_charges, topic }, { "o|" .. process .. "|" .. id }
        met = #gone > 1 and { [id] = true }
    elseif met[id] then
        return nil                 -- it ends twice
    else
        stored[3 * n - 2], stored[3 * n - 1], stored[3 * n] = text, place_of_charges, topic
        left[n_left + 1] = "o|" .. process .. "|" .. id
        met[id] = true
    end
    n_left = n_left + 1
    if flags % 4 >= 2 then         -- counted in flight
        n_left = n_left + 1
        left[n_left] = "f|" .. domain .. "|" .. id
        if keyset or has_crowd == 1 then
            moved = moved or {}
            moved[domain] = (moved[domain] or 0) - 1
        end
    end
end
