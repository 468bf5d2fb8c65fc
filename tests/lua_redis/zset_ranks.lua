-- The commands of sorted sets that name ranks.

local sorted, span = require("sorted"), require("numbers").span
local ranges, zsets, peek = require("zset_ranges"), require("zsets"), require("keyspace").peek
local zset_ranks = {}

function zset_ranks.ZRANGE(key, first, last, ...)
    local set = peek(key, "zset")
    local _, _, shows_scores = ranges.options_of({ ... }, false)
    local from, count = span(first, last, set and set.size or 0)
    local members = set and sorted.slice(set, from, count) or {}
    return shows_scores and ranges.with_scores(set, members) or members
end

function zset_ranks.ZREMRANGEBYRANK(key, first, last)
    local set = peek(key, "zset")
    local members = set and sorted.slice(set, span(first, last, set.size)) or {}
    return #members > 0 and zsets.ZREM(key, unpack(members)) or 0
end

return zset_ranks
