-- A sorted set: members in order of (score, member), in chunks, so that 100,000 of them cost little.
-- Returns {new, put, take, rank, slice}.

local place = require("sorted_place")
local CHUNK = 256

local function new()
    return { scores = {}, chunks = { {} }, size = 0 }
end

local function split(chunks, at)
    local left, right = chunks[at], {}
    for i = CHUNK + 1, #left do
        right[i - CHUNK] = left[i]
        left[i] = nil
    end
    table.insert(chunks, at + 1, right)
end

-- Removes a member; true when it was there.
local function take(set, member)
    local score = set.scores[member]
    if not score then
        return false
    end
    local at, position = place(set, score, member)
    table.remove(set.chunks[at], position)
    if #set.chunks[at] == 0 and #set.chunks > 1 then
        table.remove(set.chunks, at)
    end
    set.scores[member], set.size = nil, set.size - 1
    return true
end

-- Adds a member or moves it to another score; true when it is new.
local function put(set, score, member)
    local was_there = set.scores[member] ~= nil
    if was_there then
        if set.scores[member] == score then
            return false
        end
        take(set, member)
    end
    local at, position = place(set, score, member)
    table.insert(set.chunks[at], position, member)
    if #set.chunks[at] > 2 * CHUNK then
        split(set.chunks, at)
    end
    set.scores[member], set.size = score, set.size + 1
    return not was_there
end

-- How many members are before (score, member).
local function rank(set, score, member)
    if set.size == 0 then
        return 0
    end
    local at, position = place(set, score, member)
    local before = position - 1
    for i = 1, at - 1 do
        before = before + #set.chunks[i]
    end
    return before
end

-- The members with 0-based ranks from `first`, at most `count`.
local function slice(set, first, count)
    local found, at, chunks = {}, 1, set.chunks
    while chunks[at] and first >= #chunks[at] do
        first, at = first - #chunks[at], at + 1
    end
    local chunk, position = chunks[at], first + 1
    while chunk and #found < count do
        if position > #chunk then
            at, position = at + 1, 1
            chunk = chunks[at]
        else
            found[#found + 1] = chunk[position]
            position = position + 1
        end
    end
    return found
end

return { new = new, put = put, take = take, rank = rank, slice = slice }
