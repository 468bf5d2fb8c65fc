-- What the scripts need of Redis's `struct`: whole numbers ("b" of 1 byte, "h" of 2, "H" of 2 and never below 0, "l" of 8, the
-- lowest first), and "s", a text that a zero byte ends. What was packed or unpacked lately is remembered: scripts read what they
-- wrote.

local struct = {}
local SIZES = { b = 1, h = 2, H = 2, l = 8 }
local MOST = 5000              -- texts that are remembered
local numbers = require("struct_numbers")
local long, long_at, packed, number_at = numbers.long, numbers.long_at, numbers.packed, numbers.number_at
local byte, floor, sub, find = string.byte, math.floor, string.sub, string.find
local known, count = {}, 0     -- layout -> text -> its values and the place after them

local function remember(layout, text, values)
    count = count + 1
    if count > MOST then
        known, count = {}, 0
    end
    known[layout] = known[layout] or {}
    known[layout][text] = values
end

function struct.pack(layout, ...)
    local values, parts, length = { ... }, {}, #layout
    for i = 1, length do
        local option, value = sub(layout, i, i), values[i]
        local size = SIZES[option]
        if size then
            value = assert(tonumber(value), "number expected")
            value = value < 0 and math.ceil(value) or floor(value)     -- as C makes an integer of it
            values[i], parts[i] = value, size == 8 and long(value) or packed(value, size)
        elseif option == "s" then
            parts[i] = assert(value, "string expected") .. "\0"
        else
            error("no such option here: " .. option)
        end
    end
    local text = table.concat(parts)
    values[length + 1] = #text + 1
    remember(layout, text, values)
    return text
end

-- The values, and the place after them.
function struct.unpack(layout, text, place)
    layout = byte(layout) == 60 and sub(layout, 2) or layout           -- "<": as it is here
    local length, found = #layout, not place and known[layout] and known[layout][text]
    if found then
        return unpack(found, 1, length + 1)
    end
    local values, at = {}, place or 1
    for i = 1, length do
        local option = sub(layout, i, i)
        local size = SIZES[option]
        if size then
            values[i], at = size == 8 and long_at(text, at) or number_at(text, at, size), at + size
            values[i] = option == "H" and values[i] % 65536 or values[i]
        elseif option == "s" then
            local last = assert(find(text, "%z", at), "unfinished string in data")
            values[i], at = sub(text, at, last - 1), last + 1
        else
            error("no such option here: " .. option)
        end
    end
    values[length + 1] = at
    if not place then
        remember(layout, text, values)
    end
    return unpack(values, 1, length + 1)
end

return struct
