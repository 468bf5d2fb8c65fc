-- lib/calls: what a step is asked, and what it reads first.
--
-- An operation begins with the letter of its kind; texts end with a zero byte, numbers have 8 bytes, the lowest first.
-- What else a heartbeat says is JSON. Behind its last part a call has the place where the next begins.

--@include lib/opening

local calls = {}
do
    local text, place, n = ARGV[5], 1, 0
    local keyset, lane, tag        -- what the enqueue before this one named
    while place <= #text do
        local kind, call = string.byte(text, place), nil
        if kind == 101 then        -- "e"
            call = { struct.unpack("<sssslllssssl", text, place) }
            place = call[13]
            if call[3] ~= keyset or call[4] ~= lane or call[10] ~= tag then
                keyset, lane, tag = call[3], call[4], call[10]
                local of_keys, of_outputs = "keyset|" .. keyset, "output|" .. lane .. "|" .. tag
                if named then
                    named[#named + 1], named[#named + 2] = of_keys, of_outputs
                else
                    named = { of_keys, of_outputs }
                end
            end
        elseif kind == 115 then    -- "s"
            call = { struct.unpack("<ssllll", text, place) }
            place = call[7]
        else
            call = { struct.unpack("<ss", text, place) }
            place = call[3]
        end
        n = n + 1
        calls[n] = call
    end
    assert(n <= 128, "pool_step: more than 128 operations")
    --@include lib/opened
end
