-- The server's own time.

local now_us = require("keyspace").now_us
local clock = {}

function clock.TIME()
    local at = now_us()
    local seconds = math.floor(at / 1000000)
    return { string.format("%d", seconds), string.format("%d", at - seconds * 1000000) }
end

return clock
