-- Texts in JSON. Returns {escaped_string, encode_string, fail}; `fail` refuses what is no JSON.

local find, sub, char = string.find, string.sub, string.char
local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }

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

-- A text in which something is escaped, and the place after it.
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

local function encode_string(text)
    return '"' .. string.gsub(text, '[%c"\\/\127]', function(mark)
        for name, escaped in pairs(ESCAPES) do
            if escaped == mark then
                return "\\" .. name
            end
        end
        return string.format("\\u%04x", string.byte(mark))
    end) .. '"'
end

return { escaped_string = escaped_string, encode_string = encode_string, fail = fail }
