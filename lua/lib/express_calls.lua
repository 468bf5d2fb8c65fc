-- lib/express_calls: which operations lib/express takes, and the leases and buckets that they are about.

local gone                     -- ids of leases that end
local stored, left             -- per lease that ends its text, where its charges begin, its topic or false; members of KEYS[3] that go
local is_watched               -- true where one of them may be in KEYS[4]: it was there at a heartbeat of its process
local moved                    -- domain -> by how many what is in flight there changes
local places, wanted = { false, false, false, false, false, false, false, false, false, false, false, false }, 0
                               -- per record that is wanted three: its limits, its levels, "domain|lane"; how many in all
local crowd_size               -- keys of the set where it is a crowd: `keys` are few of them then
local keyset, keys             -- the hash of the key set, and what it holds: key id, domain, ...
local list, lists              -- per key the places of its records, 0 for none; lane -> such a list
do
    local lane, asks, prefers = nil, 0, false
    for i = 1, #calls do
        local call = calls[i]
        local kind, id = call[1], call[2]
        if kind == "s" and call[3] >= 0 and call[4] >= 0 and call[5] < 0 then
            if gone then
                gone[#gone + 1] = id
            else
                gone = { id }
            end
        elseif kind == "e" and (keyset or call[3]) == call[3] then
            local number = call[13]
            if number <= highest then
                return nil         -- not new for certain
            end
            if call[4] ~= lane then
                lists = lane and (lists or { [lane] = {} })
                lane = call[4]
                if lists then
                    lists[lane] = lists[lane] or {}
                end
            end
            highest, keyset, asks, prefers = number, call[3], asks + 1, prefers or call[11] ~= ""
        else
            return nil
        end
    end
    if gone then
        --@include lib/express_leases
    end
    if keyset then
        --@include lib/express_keys
    end
end
