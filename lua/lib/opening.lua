-- lib/opening: what every call reads first: fields of KEYS[1], the texts in them, and the server's time in ms, which
-- lib/opened reads.

local opening = "process|" .. ARGV[1]      -- after the meta record
local named                    -- what else a step names, or nil: lib/calls
local opened, server_ms
