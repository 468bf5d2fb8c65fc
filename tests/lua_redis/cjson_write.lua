-- JSON as Redis' cjson writes it. Returns the function.

local encode_string, null = require("cjson_strings").encode_string, require("cjson_read").null

-- The length of a table that is an array; nil for an object. An array with too many holes is refused.
local function array_length(value)
    local most, count = 0, 0
    for key in pairs(value) do
        if type(key) ~= "number" or key < 1 or key % 1 ~= 0 then
            return nil
        end
        most, count = math.max(most, key), count + 1
    end
    if most > 10 and most > 2 * count then
        error("Cannot serialise table: excessively sparse array", 0)
    end
    return count > 0 and most or nil
end

local encode

local function encode_table(value)
    local parts, length = {}, array_length(value)
    if length then
        for i = 1, length do
            parts[i] = encode(value[i])
        end
        return "[" .. table.concat(parts, ",") .. "]"
    end
    for key, item in pairs(value) do
        local name = type(key) == "number" and string.format("%.14g", key) or key
        if type(name) ~= "string" then
            error("Cannot serialise table: table key must be a number or string", 0)
        end
        parts[#parts + 1] = encode_string(name) .. ":" .. encode(item)
    end
    return "{" .. table.concat(parts, ",") .. "}"
end

function encode(value)
    local kind = type(value)
    if kind == "string" then
        return encode_string(value)
    elseif kind == "number" then
        if value ~= value or value == math.huge or value == -math.huge then
            error("Cannot serialise number: must not be NaN or Inf", 0)
        end
        return string.format("%.14g", value)
    elseif kind == "boolean" then
        return tostring(value)
    elseif kind == "table" then
        return encode_table(value)
    elseif value == nil or value == null then
        return "null"
    end
    error("Cannot serialise " .. kind .. ": type not supported", 0)
end

return encode
