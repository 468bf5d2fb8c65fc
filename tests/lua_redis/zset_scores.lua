-- The commands of sorted sets that name scores.

local sorted, ranges = require("sorted"), require("zset_ranges")
local score, peek = require("numbers").score, require("keyspace").peek
local options_of, ranked, with_scores = ranges.options_of, ranges.ranked, ranges.with_scores
local zset_scores = {}

local function score_bound(text)
    local is_open = string.sub(text, 1, 1) == "("
    return { number = score(is_open and string.sub(text, 2) or text), is_open = is_open }
end

-- The rank of a score bound: members before it when it is a start, up to it when it is an end.
local function score_rank(set, bound, is_end)
    local before = sorted.rank(set, bound.number, "")
    if bound.is_open ~= is_end then
        for _, member in ipairs(sorted.slice(set, before, math.huge)) do
            if set.scores[member] ~= bound.number then
                break
            end
            before = before + 1
        end
    end
    return before
end

function zset_scores.ZRANGEBYSCORE(key, low, high, ...)
    local set, first, last = peek(key, "zset"), score_bound(low), score_bound(high)
    local offset, count, shows_scores = options_of({ ... }, true)
    local members = set and ranked(set, score_rank(set, first, false), score_rank(set, last, true), offset, count) or {}
    return shows_scores and with_scores(set, members) or members
end

function zset_scores.ZCOUNT(key, low, high)
    return #zset_scores.ZRANGEBYSCORE(key, low, high)
end

return zset_scores
