-- lib/express: the step of a pool in which nothing waits, at a fraction of what the whole script costs.
--
-- Leases end with known usage, and new tickets can all go at once. What it stores and answers is to the letter what
-- the whole script would; where anything else is asked or found it has written nothing, and answers nothing. So it
-- decides nothing of its own (a test compares the two), and is one function, of few tables: making what the whole
-- script is made of costs more than such a step. A new table costs as much as fifteen sums, one that grows as seventy:
-- so tables are made where they are needed, with their first entries or as many as they mostly get.

do
    local function express(KEYS, calls, opened, named, opening, caller, known_epoch, known_fence, server_ms)
        --@include lib/layouts
        local LONGS = "llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll"     -- more than any record has
        local redis, string, struct, unpack = redis, string, struct, unpack     -- nearer than globals
        if not (opened[1] and opened[2] and calls[1]) then
            return nil
        end
        local fence, seq, seen, lease_clock, presence, offset, ttl, touched, expires, has_crowd, is_calm, epoch =
            struct.unpack("llllllllllls", opened[1])   -- of META all but the last
        local seen_at, pushed_at, state, _, due, highest, beaten = struct.unpack("lllllll", opened[2])
        if is_calm == 0 or epoch ~= known_epoch or known_fence > fence or state ~= 0 then
            return nil
        end
        local kept = string.sub(opened[1], 41)                 -- what few steps change in it
        local now, floor = server_ms + offset, math.floor      -- as lib/clock has it
        if now < seen then
            kept, now = struct.pack("l", offset + seen - now) .. string.sub(kept, 9), seen
        end
        local passed, stride = now - seen, floor(ttl / 3)
        lease_clock, presence = lease_clock + (passed < stride and passed or stride), presence + passed
        if now - touched >= 1000 or lease_clock >= expires or now - now % 60000 ~= seen - seen % 60000 then
            return nil                 -- some time has come: of lifetimes, of a lease, of what has ended
        end
        --@include lib/express_calls
        --@include lib/express_records
        --@include lib/express_settles
        --@include lib/express_grants
        --@include lib/express_save
        return string.format('["ok",%d,%d,[%s],[],[],[]]', fence, now, results[2] and table.concat(results, ",") or results[1])
    end

    local said = express(KEYS, calls, opened, named, opening, caller, known_epoch, known_fence, server_ms)
    if said then
        return said
    end
end
