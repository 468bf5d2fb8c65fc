-- JSON as Redis' cjson reads and writes it. Returns {decode, encode, null}.

local read, fail = require("cjson_read"), require("cjson_strings").fail
local value_at, find = read.value_at, string.find

local function decode(text)
    if type(text) == "number" then
        return text
    elseif type(text) ~= "string" then
        error("bad argument #1 to 'decode' (string expected, got " .. type(text) .. ")", 0)
    end
    local value, at = value_at(text, 1)
    if find(text, "%S", at) then
        fail(text, at)
    end
    return value
end

return { decode = decode, encode = require("cjson_write"), null = read.null }
