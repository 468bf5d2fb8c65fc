-- lib/changed_fields: the fields of KEYS[1] that a call has changed are written at its end (lib/records).

local function encode_record(record)
    local numbers, buckets = { record.pause_until, pool.now }, record.buckets
    for i = 1, #buckets do
        numbers[2 * i + 1], numbers[2 * i + 2] = level_and_idle(buckets[i]), buckets[i].held
    end
    return packed(numbers)
end

local function encode_queues()
    local out = {}
    for name, q in pairs(pool.queues) do
        out[#out + 1] = string.format('"%s":[%d,"%s","%s",%d,%d,%d,%d,%d,%d,%d,%d,%d]', name, unpack(q, 1, 12))
    end
    return "{" .. table.concat(out, ",") .. "}"
end

-- 1 where the pool has none of what lib/express does not take: lib/records.
local function calmness()
    return (pool.stored_queues or "{}") == "{}" and #pool.parked == 0 and not next(pool.outages)
        and (not pool.order or string.sub(pool.order, -4) == ",{}]") and 1 or 0
end

local function save_records()
    local fields, at = written, #written
    if pool.queues_changed then
        pool.stored_queues = encode_queues()
        fields[at + 1], fields[at + 2], at = "queues", pool.stored_queues, at + 2
    end
    fields[at + 1] = "meta"
    fields[at + 2] = struct.pack(META, pool.fence, pool.seq, pool.seen, pool.lease, pool.presence, pool.offset, pool.ttl,
        pool.touched, pool.expires, pool.has_crowd, calmness(), pool.epoch, pool.predecessor, LAYOUT)
    if pool.outages_changed then
        fields[#fields + 1] = "outages"
        fields[#fields + 1] = outages_text(pool.outages)
    end
    if pool.cuts_changed then
        fields[#fields + 1] = "cuts"
        fields[#fields + 1] = cjson.encode(pool.cuts)
    end
    if pool.parked_changed then
        fields[#fields + 1] = "parked"
        fields[#fields + 1] = #pool.parked > 0 and '["' .. table.concat(pool.parked, '","') .. '"]' or "[]"
    end
    for topic, known in pairs(answers) do
        if known.is_changed then
            fields[#fields + 1] = "output|" .. topic
            fields[#fields + 1] = packed({ known[1], known[2], known[3] or 0, known[4] or 0 })
        end
    end
    for field, record in pairs(records) do
        if record and record.dirty then
            fields[#fields + 1] = "buckets|" .. field
            fields[#fields + 1] = encode_record(record)
        end
    end
    for id, process in pairs(processes) do
        if process and process.dirty then
            fields[#fields + 1] = "process|" .. id
            fields[#fields + 1] = packed(process)
        end
    end
    send("HSET", KEYS[1], fields)
    send("HDEL", KEYS[1], dropped)
end
