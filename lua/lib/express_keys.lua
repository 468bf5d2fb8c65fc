-- lib/express_keys: the records of the keys that new tickets of lib/express can have.

if not opened[3] or due <= lease_clock then
    return nil                     -- not known, or nobody watches the caller's leases yet (lib/expiry)
end
local count = string.byte(opened[3])
if count == 91 then            -- "[": of many keys (lib/keys)
    keys = cjson.decode(opened[3])
    if keys[1] == "#" then
        --@include lib/express_crowd
    end
else                           -- at most lib/keysets' FEW keys
    keys = { struct.unpack(string.sub("ssssssssssssssss", 1, count), opened[3], 2) }
    keys[count + 1] = nil
end
list = { 0, 0, 0, 0, 0, 0, 0, 0 }      -- at k - 1 the place of a key's shared record, at k of that of the lane
if asks == 1 and #keys > 4 and not prefers then         -- nothing of the other keys need be read
    local k = fence % (#keys / 2) * 2 + 2
    --@include lib/express_places
elseif lists then
    for lane, list in pairs(lists) do
        for k = 2, #keys, 2 do
            --@include lib/express_places
        end
    end
else
    for k = 2, #keys, 2 do
        --@include lib/express_places
    end
end
