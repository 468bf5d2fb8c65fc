-- JSON as Redis' cjson reads it. Returns {value_at, null}.

local strings = require("cjson_strings")
local escaped_string, fail = strings.escaped_string, strings.fail
local byte, find, sub, char = string.byte, string.find, string.sub, string.char
local null = newproxy()
local WORDS = { t = { "true", true }, f = { "false", false }, n = { "null", null } }

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

return { value_at = value_at, null = null }
