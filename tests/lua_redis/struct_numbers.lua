-- Whole numbers as bytes, the lowest first. Returns {long, long_at, packed, number_at}.

local byte, char, floor = string.byte, string.char, math.floor
local HALF, SIGN = 2 ^ 32, 2 ^ 31

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

return { long = long, long_at = long_at, packed = packed, number_at = number_at }
