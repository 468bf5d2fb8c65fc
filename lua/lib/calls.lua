-- lib/calls: what a step is asked, and what it reads first.

--@include lib/opening

local calls = cjson.decode(ARGV[5])
assert(#calls <= 128, "pool_step: more than 128 operations")

-- What lib/opening read: the texts, the server's time; and where among the texts is what enqueues name.
local opening = { place_of = {} }
do
    local BEFORE = 6               -- texts that lib/opening reads for every call
    local fields, keyset, lane, tag, place_of = {}, nil, nil, nil, opening.place_of
    for i = 1, #calls do
        local call = calls[i]
        if call[1] == "e" and not (call[3] == keyset and call[4] == lane and call[10] == tag) then
            keyset, lane, tag = call[3], call[4], call[10]
            fields[#fields + 1], fields[#fields + 2] = "keyset|" .. keyset, "output|" .. lane .. "|" .. tag
            place_of[fields[#fields - 1]], place_of[fields[#fields]] = BEFORE + #fields - 1, BEFORE + #fields
        end
    end
    opening.texts, opening.server_ms = read_opening(ARGV[1], fields)
end
