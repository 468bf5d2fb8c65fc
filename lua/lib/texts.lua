-- lib/texts: what stored texts mean: JSON, or numbers packed by `struct` (lib/records). Pure.

local function read_json(text, otherwise)
    return text and text ~= "[]" and text ~= "{}" and cjson.decode(text) or otherwise
end

-- The numbers of a packed record: of what `struct` gives the last is the place after them.
local function numbers_in(text)
    local numbers = { struct.unpack(string.rep("l", #text / 8), text) }
    numbers[#numbers] = nil
    return numbers
end

-- Some numbers as a packed record.
local function packed(numbers)
    return struct.pack(string.rep("l", #numbers), unpack(numbers))
end
