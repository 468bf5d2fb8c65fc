-- lib/clock: one time for the pool, that never goes back. Pure.
--
-- A clock is {offset, seen, lease, presence}, all in ms. `now` = server time + offset. The
-- lease clock and the presence clock drive expiries and deadlines: each advances by a bounded
-- amount between two calls, so that a frozen server or a jump of its clock kills nobody.


-- Advances `clock` to the server's time and returns `now`.
local function advance(clock, time_ms, ttl_ms)
    local presence_stride_ms = 1000
    local now = time_ms + clock.offset
    if now < clock.seen then
        clock.offset = clock.offset + clock.seen - now
        now = clock.seen
    end
    local passed = clock.seen > 0 and now - clock.seen or 0
    clock.lease = clock.lease + math.min(passed, math.floor(ttl_ms / 3))
    clock.presence = clock.presence + math.min(passed, presence_stride_ms)
    clock.seen = now
    return now
end
