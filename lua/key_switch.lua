-- key_switch: take an API key out of service for the whole fleet, or put it back.
--
-- KEYS[1]  pool        hash   small records: outages
-- ARGV[1]  key         key id
-- ARGV[2]  action      "pause" or "resume"
-- ARGV[3]  pause_ms    how long, in ms; 0 is until it is resumed
-- ARGV[4]  reason      for people: no quotes
--
-- returns      {number of keys out of service}
--
-- invariants   Pausing or resuming twice changes nothing.

--@include lib/layouts
--@include lib/outages

local POOL_TTL_MS = 2592000000         -- 30 days, as lib/save has it

local time = redis.call("TIME")
local raw = redis.call("HMGET", KEYS[1], "outages", "meta")
local outages = raw[1] and cjson.decode(raw[1]) or {}
local meta = raw[2] and { struct.unpack(META, raw[2]) } or { [3] = 0, [6] = 0 }    -- seen and offset: lib/records
local now = math.max(meta[3], time[1] * 1000 + math.floor(time[2] / 1000) + meta[6])
if ARGV[2] == "pause" then
    local pause_ms = tonumber(ARGV[3])
    outages[ARGV[1]] = { pause_ms > 0 and now + pause_ms or 0, ARGV[4] }
else
    outages[ARGV[1]] = nil
end
forget_outages(outages, now)
local text, count = outages_text(outages)
redis.call("HSET", KEYS[1], "outages", text)
if raw[2] then
    meta[11] = 0                       -- not calm, until a step finds that it is
    redis.call("HSET", KEYS[1], "meta", struct.pack(META, unpack(meta, 1, 14)))
end
redis.call("PEXPIRE", KEYS[1], POOL_TTL_MS)
return { count }
