-- lib/express_keys: the records of the keys that new tickets of lib/express can have.

if not opened[3] or due <= lease_clock then
    return nil                     -- not known, or nobody watches the caller's leases yet (lib/expiry)
end
keys = cjson.decode(opened[3])
if keys[1] == "#" then
    --@include lib/express_crowd
end
list = { 0, 0, 0, 0, 0, 0, 0, 0 }      -- at k - 1 the place of a key's shared record, at k of that of the lane
if lists then
    for lane, list in pairs(lists) do
        --@include lib/express_places
    end
else
    --@include lib/express_places
end
