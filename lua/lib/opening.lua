-- lib/opening: what every call reads first: fields of KEYS[1], the texts in them, and the server's time in ms, which
-- lib/opened reads.

local opening = { "meta", "process|" .. ARGV[1], nil, nil }    -- two places for what a step names: lib/calls
local opened, server_ms
