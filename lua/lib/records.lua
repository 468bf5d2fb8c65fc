-- lib/records: the small records of a pool, read once and written once per call.
--
-- Fields of KEYS[1]:
--   meta                [epoch, predecessor, fence, seq, offset, seen, lease, presence, ttl_ms, touched]
--   queues              {queue: [wake_at, ticket, armed process]} of the queues that wait
--   outages             {key id: [until (0 = for ever), reason]}
--   parked              [processes whose lines are out of the order]
--   process|<id>        [presence seen, first unread push, state: 0 live, 1 parked, 2 being dropped]
--   limits|<domain|lane>   [concurrency, then per bucket: code, rate, tick, capacity, unit, most, rule]
--   buckets|<domain|lane>  [pause_until, then per bucket: level, at, held]

local pool = {}          -- the meta record, and `now`
local records = {}       -- "domain|lane" -> {concurrency, pause_until, buckets = {...}, dirty}, or false
local processes = {}     -- id -> {seen, pushed_at, state, dirty}

-- Integers as text: `..` would keep 14 digits, and print -0.
local function int(n)
    return string.format("%.0f", n + 0)
end

local function read_json(text, otherwise)
    return text and cjson.decode(text) or otherwise
end

-- Reads what every call needs. False when the pool does not exist.
local function open_pool(caller)
    local time = redis.call("TIME")
    local raw = redis.call("HMGET", KEYS[1], "meta", "queues", "outages", "parked", "process|" .. caller)
    pool.caller, pool.time = caller, tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
    pool.queues, pool.outages = read_json(raw[2], {}), read_json(raw[3], {})
    pool.parked = read_json(raw[4], {})
    processes[caller] = read_json(raw[5], false)
    if not raw[1] then
        return false
    end
    local meta = cjson.decode(raw[1])
    pool.epoch, pool.predecessor, pool.fence, pool.seq = meta[1], meta[2], meta[3], meta[4]
    pool.offset, pool.seen, pool.lease, pool.presence = meta[5], meta[6], meta[7], meta[8]
    pool.ttl, pool.touched = meta[9], meta[10]
    pool.seen_before = pool.seen
    pool.now = advance(pool, pool.time, pool.ttl)
    return true
end

local BUCKET = { "rate", "tick", "capacity", "unit", "most", "rule" }

local function decode_record(limits_text, buckets_text)
    if not limits_text then
        return false
    end
    local limits, state = cjson.decode(limits_text), cjson.decode(buckets_text)
    local record = { concurrency = limits[1], pause_until = state[1], buckets = {} }
    for i = 1, (#limits - 1) / 7 do
        local bucket = { code = limits[i * 7 - 5] }
        for j = 1, 6 do
            bucket[BUCKET[j]] = limits[i * 7 - 5 + j]
        end
        bucket.level, bucket.at, bucket.held = state[i * 3 - 1], state[i * 3], state[i * 3 + 1]
        refill(bucket, pool.now)
        record.buckets[i] = bucket
    end
    return record
end

-- Loads the records of these "domain|lane" fields that are not loaded yet.
local function load_records(fields)
    local wanted, names = {}, {}
    for _, field in ipairs(fields) do
        if records[field] == nil then
            records[field] = false
            wanted[#wanted + 1] = field
            names[#names + 1] = "limits|" .. field
            names[#names + 1] = "buckets|" .. field
        end
    end
    for first = 1, #names, 1000 do
        local raw = redis.call("HMGET", KEYS[1], unpack(names, first, math.min(first + 999, #names)))
        for i = 1, #raw, 2 do
            records[wanted[(first + i) / 2]] = decode_record(raw[i], raw[i + 1])
        end
    end
end

local function record_of(field)
    if records[field] == nil then
        load_records({ field })
    end
    return records[field]
end

local function encode_buckets(record)
    local out = { int(record.pause_until) }
    for _, bucket in ipairs(record.buckets) do
        out[#out + 1] = string.format("%.0f,%.0f,%.0f", bucket.level + 0, bucket.at, bucket.held + 0)
    end
    return "[" .. table.concat(out, ",") .. "]"
end
