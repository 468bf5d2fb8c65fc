-- JSON as Redis' cjson reads and writes it. Returns {decode, encode, null}.

local byte, find, sub, char = string.byte, string.find, string.sub, string.char
local null = newproxy()
local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }
local WORDS = { t = { "true", true }, f = { "false", false }, n = { "null", null } }

local function fail(text, at)
    error(string.format("Expected value but found invalid token at character %d", math.min(at, #text + 1)), 0)
end

local function utf8(code)
    if code < 128 then
        return char(code)
    elseif code < 2048 then
        return char(192 + math.floor(code / 64), 128 + code % 64)
    elseif code < 65536 then
        return char(224 + math.floor(code / 4096), 128 + math.floor(code / 64) % 64, 128 + code % 64)
    end
    return char(240 + math.floor(code / 262144), 128 + math.floor(code / 4096) % 64, 128 + math.floor(code / 64) % 64,
        128 + code % 64)
end

local function escaped_string(text, at)
    local parts, from = {}, at
    while true do
        local stop = find(text, '["\\%c]', from)
        local mark = stop and sub(text, stop, stop)
        parts[#parts + 1] = stop and sub(text, from, stop - 1)
        if mark == '"' then
            return table.concat(parts), stop + 1
        elseif mark ~= "\\" then
            fail(text, from)
        end
        local kind = sub(text, stop + 1, stop + 1)
        from = stop + 2
        if kind == "u" then
            local code = tonumber(string.match(text, "^%x%x%x%x", from) or fail(text, from), 16)
            from = from + 4
            local low = code >= 55296 and code < 56320 and string.match(text, "^\\u(%x%x%x%x)", from)
            if low then
                code, from = 65536 + (code - 55296) * 1024 + tonumber(low, 16) - 56320, from + 6
            end
            parts[#parts + 1] = utf8(code)
        else
            parts[#parts + 1] = ESCAPES[kind] or fail(text, stop)
        end
    end
end

local value_at

local function array_at(text, at)
    local list, n = {}, 0
    at = find(text, "%S", at)
    if byte(text, at) == 93 then
        return list, at + 1
    end
    while true do
        n = n + 1
        local _, stop, plain = find(text, '^"([^"\\%c]*)"', at)
        if not stop then
            _, stop, plain = find(text, "^(-?%d+)%f[,%]]", at)
            plain = plain and tonumber(plain)
        end
        if stop then
            list[n], at = plain, stop + 1
        else
            list[n], at = value_at(text, at)
        end
        local mark = byte(text, at)
        if mark ~= 44 and mark ~= 93 then
            at = find(text, "%S", at) or fail(text, #text)
            mark = byte(text, at)
        end
        if mark == 93 then
            return list, at + 1
        elseif mark ~= 44 then
            fail(text, at)
        end
        at = at + 1
    end
end

local function object_at(text, at)
    local object = {}
    at = find(text, "%S", at) or fail(text, #text)
    if byte(text, at) == 125 then
        return object, at + 1
    end
    while true do
        at = find(text, "%S", at) or fail(text, #text)
        if byte(text, at) ~= 34 then
            fail(text, at)
        end
        local name
        name, at = value_at(text, at)
        local _, colon = find(text, "^%s*:", at)
        object[name], at = value_at(text, (colon or fail(text, at)) + 1)
        at = find(text, "%S", at) or fail(text, #text)
        local mark = byte(text, at)
        if mark == 125 then
            return object, at + 1
        elseif mark ~= 44 then
            fail(text, at)
        end
        at = at + 1
    end
end

function value_at(text, at)
    local mark = byte(text, at)
    if mark == 34 then
        local _, stop = find(text, '^[^"\\%c]*"', at + 1)
        if stop then
            return sub(text, at + 1, stop - 1), stop + 1
        end
        return escaped_string(text, at + 1)
    elseif mark == 91 then
        return array_at(text, at + 1)
    elseif mark == 123 then
        return object_at(text, at + 1)
    elseif mark == 32 or mark == 10 or mark == 9 or mark == 13 then
        return value_at(text, find(text, "%S", at) or fail(text, #text))
    end
    local _, stop = find(text, "^-?%d+", at)
    if stop then
        local after = byte(text, stop + 1)
        if after == 46 or after == 101 or after == 69 then
            _, stop = find(text, "^-?%d+%.?%d*[eE]?[+-]?%d*", at)
        end
        return tonumber(sub(text, at, stop)) or fail(text, at), stop + 1
    end
    local word = mark and WORDS[char(mark)]
    if not word or sub(text, at, at + #word[1] - 1) ~= word[1] then
        fail(text, at)
    end
    return word[2], at + #word[1]
end

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

local function encode_string(text)
    return '"' .. string.gsub(text, '[%c"\\/\127]', function(mark)
        for name, escaped in pairs(ESCAPES) do
            if escaped == mark then
                return "\\" .. name
            end
        end
        return string.format("\\u%04x", byte(mark))
    end) .. '"'
end

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

return { decode = decode, encode = encode, null = null }
