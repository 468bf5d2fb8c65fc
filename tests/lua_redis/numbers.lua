-- Numbers as commands read and write them. Returns {integer, score, score_text, span}.

local function integer(text)
    local number = tonumber(text)
    if not number or number % 1 ~= 0 then
        error("ERR value is not an integer or out of range", 0)
    end
    return number
end

local function score(text)
    local number = tonumber(text)
    if string.find(text, "^[+-]?inf$") then
        number = string.sub(text, 1, 1) == "-" and -math.huge or math.huge
    end
    return number or error("ERR value is not a valid float", 0)
end

local function score_text(number)
    if number == math.huge or number == -math.huge then
        return number > 0 and "inf" or "-inf"
    end
    return string.format("%.17g", number)
end

-- A span of 0-based indexes as Redis counts them: first and count.
local function span(first, last, size)
    first, last = integer(first), integer(last)
    first = math.max(0, first < 0 and size + first or first)
    last = math.min(size - 1, last < 0 and size + last or last)
    return first, math.max(0, last - first + 1)
end

return { integer = integer, score = score, score_text = score_text, span = span }
