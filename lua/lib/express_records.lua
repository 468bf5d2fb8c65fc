-- lib/express_records: the buckets of a step that lib/express takes, refilled as lib/bucket has it.
--
-- Of the levels of a record the numbers of lib/records, {pause_until, at or false where they have changed, then per bucket
-- level and hold, and one more}; of its limits {concurrency, then per bucket kind, rate, capacity, unit, most}, or false.

local before = has_crowd == 1 and {}           -- where a pool has a crowd, the levels as they were
local shape, layout            -- the limits of the last record, and how its levels are packed
local read, shape_text = 0, nil                -- records read so far; of the last limits the text
--@include lib/express_reading
