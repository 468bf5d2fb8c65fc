-- lib/choice: the keys that a queue may use.

local choices = {}             -- queue -> its keys: {key, domains, records, buckets, is_gated}
local choice_of, entries_of, crowd_of, choices_of, is_out_of_service, fits_somewhere
do
    local crowds = {}

    -- True when more than buckets can stand between a ticket and a key: a pause, slots.
    local function is_gated(record)
        return record.pause_until > pool.now or (record.domain and record.shapes.concurrency > 0)
    end

    function choice_of(key, domains, fields)
        local records, has_gate = records_of(fields), pool.outages[key] ~= nil
        local buckets = #records == 1 and records[1].buckets or {}
        for i = 1, #records do
            has_gate = has_gate or is_gated(records[i])
            for j = 1, #records > 1 and #records[i].buckets or 0 do
                buckets[#buckets + 1] = records[i].buckets[j]
            end
        end
        return { key = key, domains = domains, records = records, buckets = buckets,
            is_gated = has_gate or #buckets == 0 }
    end

    -- {key, domains, ...} of a key set; of a crowd they are read one by one.
    function entries_of(keyset)
        local entries = keys_of(keyset) or {}
        if entries[1] ~= "#" then
            return entries
        end
        local fields, all = {}, {}
        for i = 1, entries[2] do
            fields[i] = string.format("entry|%s|%d", keyset, i)
        end
        for i, text in ipairs(read_fields(KEYS[1], fields)) do
            all[2 * i - 1], all[2 * i] = string.match(text, "^([^|]+)|(.*)$")
        end
        return all
    end

    -- What is known of a queue whose key set is a crowd (lib/crowd); nil of any other.
    function crowd_of(queue)
        if crowds[queue] == nil then
            local lane, keyset = string.match(queue, "^(.*)|([^|]+)$")
            local entries = keys_of(keyset)
            crowds[queue] = entries and entries[1] == "#" and { lane = lane, keyset = keyset, size = entries[2],
                is_uniform = entries[3] == 1 and (entries[4] == 1 or not next(pool.outages)), choices = {}, lists = {} } or false
        end
        return crowds[queue] or nil
    end

    -- The keys that a queue may use, in their order.
    function choices_of(queue)
        if not choices[queue] then
            local lane, keyset = string.match(queue, "^(.*)|([^|]+)$")
            local entries, fields, wanted, found = entries_of(keyset), {}, {}, {}
            for i = 2, #entries, 2 do
                fields[i] = fields_of(entries[i], lane)
                for _, field in ipairs(fields[i]) do
                    wanted[#wanted + 1] = field
                end
            end
            load_records(wanted)
            for i = 2, #entries, 2 do
                found[i / 2] = choice_of(entries[i - 1], entries[i], fields[i])
            end
            choices[queue] = found
        end
        return choices[queue]
    end

    function is_out_of_service(choice)
        local outage = choice.is_gated and pool.outages[choice.key]
        return outage and outage[1] == 0
    end

    -- True when the limits of some key are as large as the ticket.
    function fits_somewhere(ticket)
        for _, choice in ipairs(choices_of(ticket.queue)) do
            local fits = not is_out_of_service(choice)
            for _, bucket in ipairs(choice.buckets) do
                fits = fits and not is_too_large(bucket.shape, ticket)
            end
            if fits then
                return true
            end
        end
        return false
    end
end
