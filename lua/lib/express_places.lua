-- lib/express_places: where the records of the keys are, for tickets of a lane. Of several domains there is none.

for k = 2, #keys, 2 do
    local field = keys[k] .. "|*"
    --@include lib/express_wanted
    list[k - 1], list[k] = place, 0
end
for k = 2, lane == "*" and 0 or #keys, 2 do
    local field = keys[k] .. "|" .. lane
    --@include lib/express_wanted
    list[k] = place
end
