-- lib/express_wanted: the place of a record, `field`, among those that lib/express reads.

local place = 1
while fields[place] ~= field and place <= wanted do
    place = place + 1
end
if place > wanted then
    fields[place], wanted = field, place
end
