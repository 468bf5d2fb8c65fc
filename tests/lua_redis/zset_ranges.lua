-- What all ranges of a sorted set share. Returns {options_of, ranked, with_scores}.

local sorted, numbers = require("sorted"), require("numbers")
local integer, score_text = numbers.integer, numbers.score_text

-- What may follow a range: WITHSCORES, LIMIT offset count.
local function options_of(arguments, takes_limit)
    local offset, count, shows_scores, i = 0, math.huge, false, 1
    while arguments[i] do
        if arguments[i] == "WITHSCORES" then
            shows_scores, i = true, i + 1
        elseif takes_limit and arguments[i] == "LIMIT" and arguments[i + 2] then
            offset, count, i = integer(arguments[i + 1]), integer(arguments[i + 2]), i + 3
        else
            error("ERR syntax error", 0)
        end
    end
    return offset, count < 0 and math.huge or count, shows_scores
end

-- Of the members with ranks from `first` to before `last`, those that LIMIT leaves.
local function ranked(set, first, last, offset, count)
    return sorted.slice(set, first + offset, math.max(0, math.min(count, last - first - offset)))
end

local function with_scores(set, members)
    local found = {}
    for _, member in ipairs(members) do
        found[#found + 1] = member
        found[#found + 1] = score_text(set.scores[member])
    end
    return found
end

return { options_of = options_of, ranked = ranked, with_scores = with_scores }
