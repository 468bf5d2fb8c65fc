-- Where members are in a sorted set (sorted.lua). Returns the function.

-- The first place (chunk, position) whose member is not before (score, member).
local function place(set, score, member)
    local scores, chunks = set.scores, set.chunks
    local low, high = 1, #chunks
    while low < high do
        local middle = math.floor((low + high) / 2)
        local last = chunks[middle][#chunks[middle]]
        if scores[last] < score or (scores[last] == score and last < member) then
            low = middle + 1
        else
            high = middle
        end
    end
    local chunk = chunks[low]
    local first, after = 1, #chunk + 1
    while first < after do
        local middle = math.floor((first + after) / 2)
        local its = chunk[middle]
        if scores[its] < score or (scores[its] == score and its < member) then
            first = middle + 1
        else
            after = middle
        end
    end
    return low, first
end

return place
