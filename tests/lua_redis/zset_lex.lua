-- The commands of sorted sets whose scores are all the same: what lies between two members.

local sorted, ranges, peek = require("sorted"), require("zset_ranges"), require("keyspace").peek
local options_of, ranked = ranges.options_of, ranges.ranked
local zset_lex = {}

-- A lexicographic bound: member and mark, checked.
local function lex_bound(text)
    local mark = string.sub(text, 1, 1)
    if text ~= "-" and text ~= "+" and mark ~= "[" and mark ~= "(" then
        error("ERR min or max not valid string range item", 0)
    end
    return { mark = mark, member = string.sub(text, 2) }
end

-- Its rank in a set whose scores are all the same: as a start, or as an end.
local function lex_rank(set, bound, is_end)
    if bound.mark == "-" or bound.mark == "+" then
        return bound.mark == "-" and 0 or set.size
    end
    local own = set.scores[set.chunks[1][1]]
    local is_after = (bound.mark == "[") == is_end
    return sorted.rank(set, own, bound.member) + (is_after and set.scores[bound.member] and 1 or 0)
end

function zset_lex.ZRANGEBYLEX(key, low, high, ...)
    local set, first, last = peek(key, "zset"), lex_bound(low), lex_bound(high)
    local offset, count = options_of({ ... }, true)
    return set and ranked(set, lex_rank(set, first, false), lex_rank(set, last, true), offset, count) or {}
end

function zset_lex.ZREVRANGEBYLEX(key, high, low, ...)
    local found, members = {}, zset_lex.ZRANGEBYLEX(key, low, high)
    local offset, count = options_of({ ... }, true)
    for i = #members - offset, math.max(1, #members - offset - count + 1), -1 do
        found[#found + 1] = members[i]
    end
    return found
end

function zset_lex.ZLEXCOUNT(key, low, high)
    local set, first, last = peek(key, "zset"), lex_bound(low), lex_bound(high)
    return set and math.max(0, lex_rank(set, last, true) - lex_rank(set, first, false)) or 0
end

return zset_lex
