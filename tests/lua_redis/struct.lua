-- What the scripts need of Redis's `struct`: whole numbers ("b" of 1 byte, "h" of 2, "l" of 8, the lowest first), and
-- "s", a text that a zero byte ends. What was packed or unpacked lately is remembered: scripts read what they wrote.

local struct = {}
local SIZES = { b = 1, h = 2, l = 8 }
local MOST = 5000              -- texts that are remembered
local byte, char, floor, sub, find = string.byte, string.char, math.floor, string.sub, string.find
local HALF, SIGN = 2 ^ 32, 2 ^ 31
local known, count = {}, 0     -- layout -> text -> its values and the place after them

local function remember(layout, text, values)
    count = count + 1
    if count > MOST then
        known, count = {}, 0
    end
    known[layout] = known[layout] or {}
    known[layout][text] = values
end

-- Eight bytes of a number, quicker than one by one: there are many.
local function long(number)
    local low = number % HALF
    local high = (number - low) / HALF % HALF
    return char(low % 256, floor(low / 256) % 256, floor(low / 65536) % 256, floor(low / 16777216),
        high % 256, floor(high / 256) % 256, floor(high / 65536) % 256, floor(high / 16777216))
end

local function long_at(text, place)
    local a, b, c, d, e, f, g, h = byte(text, place, place + 7)
    if not h then
        error("data string too short", 3)
    end
    local high = e + 256 * f + 65536 * g + 16777216 * h
    return (high < SIGN and high or high - HALF) * HALF + a + 256 * b + 65536 * c + 16777216 * d
end

local function packed(number, size)
    local bytes = {}
    for i = 1, size do
        bytes[i] = number % 256
        number = (number - bytes[i]) / 256
    end
    return char(unpack(bytes))
end

local function number_at(text, place, size)
    local bytes = { byte(text, place, place + size - 1) }
    if #bytes < size then
        error("data string too short", 3)
    end
    local number = bytes[size] < 128 and bytes[size] or bytes[size] - 256
    for i = size - 1, 1, -1 do
        number = number * 256 + bytes[i]
    end
    return number
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
