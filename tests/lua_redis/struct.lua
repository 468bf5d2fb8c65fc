-- What the scripts need of Redis's `struct`: whole numbers ("b" of 1 byte, "h" of 2, "l" of 8, the lowest first), and
-- "s", a text that a zero byte ends.

local struct = {}
local SIZES = { b = 1, h = 2, l = 8 }

local function packed(number, size)
    number = number < 0 and math.ceil(number) or math.floor(number)    -- as C makes an integer of it
    local bytes = {}
    for i = 1, size do
        bytes[i] = number % 256
        number = (number - bytes[i]) / 256
    end
    return string.char(unpack(bytes))
end

local function number_at(text, place, size)
    local bytes = { string.byte(text, place, place + size - 1) }
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
    local values, parts = { ... }, {}
    for i = 1, #layout do
        local option = string.sub(layout, i, i)
        if SIZES[option] then
            parts[i] = packed(assert(tonumber(values[i]), "number expected"), SIZES[option])
        elseif option == "s" then
            parts[i] = assert(values[i], "string expected") .. "\0"
        else
            error("no such option here: " .. option)
        end
    end
    return table.concat(parts)
end

-- The values, and the place after them.
function struct.unpack(layout, text, place)
    local values, count = {}, #layout
    place = place or 1
    for i = 1, count do
        local option = string.sub(layout, i, i)
        local size = SIZES[option]
        if size then
            values[i], place = number_at(text, place, size), place + size
        elseif option == "s" then
            local last = assert(string.find(text, "%z", place), "unfinished string in data")
            values[i], place = string.sub(text, place, last - 1), last + 1
        else
            error("no such option here: " .. option)
        end
    end
    values[count + 1] = place
    return unpack(values, 1, count + 1)
end

return struct
