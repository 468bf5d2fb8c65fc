-- lib/express_places: where the records of key `k` are, for tickets of a lane. Of several domains there is none.

do
    local field = keys[k] .. "|*"
    --@include lib/express_wanted
    list[k - 1] = place
end
if lane ~= "*" then
    local field = keys[k] .. "|" .. lane
    --@include lib/express_wanted
    list[k] = place
end
