-- lib/express_leases: the leases that end in a step that lib/express takes.

local only = not gone[2] and redis.call("HGET", KEYS[2], gone[1])
local found, met = gone[2] and redis.call("HMGET", KEYS[2], unpack(gone)), nil
for n = 1, #gone do
    local text, id = only or found and found[n], gone[n]
    if not text or string.byte(text) ~= 103 then       -- "g"
        return nil                 -- not in flight
    end
    local _, process, topic, _, domain, _, _, at, _, _, teaches, place_of_charges =
        struct.unpack(LEASE, text)
    if string.find(domain, "|", 1, true) then
        return nil                 -- it draws from several domains
    end
    is_watched = is_watched or at <= beaten or process ~= caller
    local first, second = string.byte(topic, 1, 2)
    for own = 0, first == 42 and second == 124 and 0 or 1 do   -- "*|": a lane has no record of its own
        local field = domain .. "|" .. (own == 1 and string.match(topic, "^(.*)|") or "*")
        --@include lib/express_wanted
    end
    topic = teaches == 1 and topic
    if n == 1 then
        stored, left = { text, place_of_charges, topic }, { "o|" .. process .. "|" .. id, "f|" .. domain .. "|" .. id }
        met, moved = #gone > 1 and { [id] = true }, (keyset or has_crowd == 1) and { [domain] = -1 }
    elseif met[id] then
        return nil                 -- it ends twice
    else
        stored[3 * n - 2], stored[3 * n - 1], stored[3 * n] = text, place_of_charges, topic
        left[2 * n - 1], left[2 * n] = "o|" .. process .. "|" .. id, "f|" .. domain .. "|" .. id
        met[id] = true
        if moved then
            moved[domain] = (moved[domain] or 0) - 1
        end
    end
end
