-- lib/calls: what a step is asked, and what it reads first.

--@include lib/opening

local calls = cjson.decode(ARGV[5])
assert(#calls <= 128, "pool_step: more than 128 operations")
do
    local keyset, lane, tag        -- what the enqueue before this one named
    for i = 1, #calls do
        local call = calls[i]
        if call[1] == "e" and not (call[3] == keyset and call[4] == lane and call[10] == tag) then
            local n = #opening
            keyset, lane, tag = call[3], call[4], call[10]
            opening[n + 1], opening[n + 2] = "keyset|" .. keyset, "output|" .. lane .. "|" .. tag
        end
    end
    --@include lib/opened
end
