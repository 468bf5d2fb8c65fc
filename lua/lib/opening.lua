-- lib/opening: what every call reads first: the names of fields of KEYS[1], the caller's record the fifth; lib/opened
-- adds their texts and the server's time in ms. `layout`: how the meta record is packed (lib/records).

local opening = { "meta", "queues", "outages", "parked", "process|" .. ARGV[1], "order", texts = false, server_ms = 0,
    layout = "ssllllllllll" }
