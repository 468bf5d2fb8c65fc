-- The commands of lists. A list has its values from `first` to `last`.

local keyspace, numbers = require("keyspace"), require("numbers")
local peek, opened, drop, pushed = keyspace.peek, keyspace.opened, keyspace.drop, keyspace.pushed
local integer, span = numbers.integer, numbers.span
local lists = {}

function lists.RPUSH(key, ...)
    local list = opened(key, "list")
    for _, value in ipairs({ ... }) do
        list.last = list.last + 1
        list[list.last] = value
    end
    pushed[#pushed + 1] = key
    return list.last - list.first + 1
end

function lists.LLEN(key)
    local list = peek(key, "list")
    return list and list.last - list.first + 1 or 0
end

function lists.LRANGE(key, first, last)
    local list, found = peek(key, "list"), {}
    local from, count = span(first, last, lists.LLEN(key))
    for i = 0, count - 1 do
        found[i + 1] = list[list.first + from + i]
    end
    return found
end

function lists.LINDEX(key, at)
    local list, size = peek(key, "list"), lists.LLEN(key)
    at = integer(at)
    at = at < 0 and size + at or at
    return list and at >= 0 and at < size and list[list.first + at] or false
end

function lists.LPOP(key, count)
    local list, found = peek(key, "list"), {}
    if not list then
        return false
    end
    for i = 1, math.min(integer(count or "1"), lists.LLEN(key)) do
        found[i] = list[list.first]
        list[list.first], list.first = nil, list.first + 1
    end
    if list.first > list.last then
        drop(key)
    end
    return count and found or found[1]
end

return lists
