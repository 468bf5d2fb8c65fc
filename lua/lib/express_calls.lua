-- lib/express_calls: which operations lib/express takes, and the leases and keys that they are about.

local gone, leases = {}, {}    -- ids of leases that end; {process, topic, domain, "1" where it teaches, place of its charges}
local records, wanted = {}, {} -- "domain|lane" -> lib/express_records, or false; those that are wanted
local found, keys              -- the texts of the leases; key id, domain, ... of the key set
do
    local LEASE = "^g\t([^\t]*)\t([^\t]*)\t[^\t]*\t([^\t|]*)\t%d+\t%d+\t%d+\t[^\t]*\t%d+\t(%d)()"
    local prefix, highest, keyset, lanes, prefers = ARGV[1] .. "-", process[6], nil, {}, false

    local function want(field)
        if records[field] == nil then
            records[field] = false
            wanted[#wanted + 1] = field
        end
    end

    for i = 1, #calls do
        local call = calls[i]
        local kind, id = call[1], call[2]
        if kind == "s" and call[3] >= 0 and call[4] >= 0 and call[5] < 0 and not leases[id] then
            gone[#gone + 1], leases[id] = id, true
        elseif kind == "e" and (keyset or call[3]) == call[3] and string.sub(id, 1, #prefix) == prefix then
            local number = tonumber(string.sub(id, #prefix + 1), 16)
            if not number or number <= highest or number >= 2 ^ 50 then
                return nil         -- not new for certain
            end
            highest, keyset, prefers = number, call[3], prefers or call[11] ~= ""
            if call[4] ~= lanes[#lanes] then
                lanes[#lanes + 1] = call[4]
            end
        else
            return nil
        end
    end
    process[6] = highest
    if #gone > 0 then
        found = redis.call("HMGET", KEYS[2], unpack(gone))
    end
    for i = 1, #gone do
        local lease = { string.match(found[i] or "", LEASE) }
        if not lease[1] then
            return nil             -- not in flight, or it draws from several domains
        end
        leases[i] = lease
        want(lease[3] .. "|*")
        if string.sub(lease[2], 1, 2) ~= "*|" then
            want(lease[3] .. "|" .. string.match(lease[2], "^(.*)|"))
        end
    end
    if keyset then
        local text = texts[place_of["keyset|" .. keyset]]
        if not text or process[5] <= lease_clock then
            return nil             -- not known, or nobody watches the caller's leases yet (lib/expiry)
        end
        keys = cjson.decode(text)
        if keys[1] == "#" then
            --@include lib/express_crowd
        end
        for k = 2, #keys, 2 do
            want(keys[k] .. "|*")  -- of several domains there is none
            for i = 1, #lanes do
                if lanes[i] ~= "*" then
                    want(keys[k] .. "|" .. lanes[i])
                end
            end
        end
    end
end
if #calls == 0 then
    return nil
end
