-- lib/express_wanted: the place of a record, `field`, among those that lib/express reads.

local place = 1
while places[place + 2] ~= field and place <= wanted do
    place = place + 3
end
if place > wanted then
    wanted = place + 2
    places[wanted] = field
end
