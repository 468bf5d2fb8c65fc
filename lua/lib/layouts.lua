-- lib/layouts: how `struct` packs the meta record (lib/records), a lease, and each of its charges (lib/tickets); and the
-- number of what all that is stored in, the last byte of the meta record: a pool with another is refused. Local to whoever
-- packs: Lua has 200 locals in a function.

local META, LEASE, CHARGE, LAYOUT = "lllllllllllssb", "bbHlssssslll", "shll", 1
