-- lib/opening: what every call reads first, before lib/opened does: the texts of fields of KEYS[1], and the server's time in
-- ms.

local named                    -- fields beside the meta record and that of a process, or nil: lib/calls
local opened, server_ms
