-- lib/layouts: how `struct` packs the meta record (lib/records), a lease, and each of its charges (lib/tickets). Local
-- to whoever packs: Lua has 200 locals in a function.

local META, LEASE, CHARGE = "lllllllllllss", "ssssssllllb", "shll"
