-- What only a client may ask of the whole server.

local keyspace = require("keyspace")
local peek, drop, kinds = keyspace.peek, keyspace.drop, keyspace.kinds
local server = {}

function server.KEYS(pattern)
    local found = {}
    local lua = "^" .. string.gsub(string.gsub(pattern, "[%^%$%(%)%%%.%[%]%+%-]", "%%%0"), "%*", ".*") .. "$"
    for key in pairs(kinds) do
        if peek(key) and string.find(key, lua) then
            found[#found + 1] = key
        end
    end
    table.sort(found)
    return found
end

function server.FLUSHALL()
    for key in pairs(kinds) do
        drop(key)
    end
    return { ok = "OK" }
end

return server
