-- lib/opening: what every call reads first: the names of fields of KEYS[1], the caller's record the fifth; lib/opened
-- adds their texts and the server's time in ms. And how `struct` packs the meta record (lib/records), a lease, and each of
-- its charges (lib/tickets).

local opening = { "meta", "queues", "outages", "parked", "process|" .. ARGV[1], "order", texts = false, server_ms = 0,
    layout = "ssllllllllll", lease_layout = "ssssssllllb", charge_layout = "shll" }
