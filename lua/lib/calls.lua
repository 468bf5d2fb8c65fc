-- lib/calls: what a step is asked, and what it reads first.

--@include lib/opening

local calls = cjson.decode(ARGV[5])
assert(#calls <= 128, "pool_step: more than 128 operations")

-- What lib/opening read: texts, the server's time, and the places of more fields among the texts.
local opening = { place_of = {} }
do
    local BEFORE = 6               -- texts that lib/opening reads before them
    local fields, place_of = {}, opening.place_of

    -- A field that an enqueue names: its key set, its topic (lib/output).
    local function add(field)
        if not place_of[field] then
            fields[#fields + 1] = field
            place_of[field] = BEFORE + #fields
        end
    end

    for i = 1, #calls do
        local call = calls[i]
        if call[1] == "e" then
            add("keyset|" .. call[3])
            add("output|" .. call[4] .. "|" .. call[10])
        end
    end
    opening.texts, opening.server_ms = read_opening(ARGV[1], fields)
end
