-- lib/calls: what a step is asked, and what it reads first: who calls, what it knows of the pool, its operations.
--
-- The caller's fence, its id, the epoch; then the operations. Each begins with the letter of its kind; texts end with a
-- zero byte, numbers have 8 bytes, the lowest first, a band one. What else a heartbeat says is JSON. Behind its last part
-- a call has the place where the next begins.

local known_fence, caller, known_epoch, first = struct.unpack("<lss", ARGV[1])
local opening = "process|" .. caller
do
    local text, place, n = ARGV[1], first, 0
    local keyset, lane, tag        -- what the enqueue before this one named
    while place <= #text do
        local kind, call = string.byte(text, place), nil
        if kind == 101 then
            call = { "e", struct.unpack("<ssslllbsssll", text, place + 1) }
            place = call[14]
            if call[3] ~= keyset or call[4] ~= lane or call[10] ~= tag then
                keyset, lane, tag = call[3], call[4], call[10]
                local of_keys, of_outputs = "keyset|" .. keyset, "output|" .. lane .. "|" .. tag
                if named then
                    named[#named + 1], named[#named + 2] = of_keys, of_outputs
                else
                    named = { of_keys, of_outputs }
                end
            end
        elseif kind == 115 then
            call = { "s", struct.unpack("<sllll", text, place + 1) }
            place = call[7]
        elseif kind == 99 then
            call = { "c", struct.unpack("<sl", text, place + 1) }
            place = call[4]
        else
            call = { kind == 104 and "h" or "b", struct.unpack("<s", text, place + 1) }
            place = call[3]
        end
        n = n + 1
        calls[n] = call
    end
    assert(n <= 128, "pool_step: more than 128 operations")
    --@include lib/opened
end
