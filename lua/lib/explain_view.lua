-- lib/explain_view: a ticket as a table, for people. Reads, changes nothing.

local explained
do
    local SILENT_MS, ABSENT_MS = 250, 3000   -- as lib/silence has them
    local STATES = { q = "queued", g = "granted", s = "settled", c = "cancelled", x = "expired" }
    local BAND_NAMES = { [0] = "interactive", [1] = "normal", [2] = "batch" }

    -- Why no grant may go to a process now; nil: it may.
    local function silence_of(id)
        local process = process_of(id)
        if not process or pool.presence - process[1] > ABSENT_MS then
            return "absent"
        end
        local is_unread = process[2] > 0 and pool.now - process[2] > SILENT_MS and redis.call("LLEN", pool.mailboxes .. id) > 0
        return (process[3] > 0 or is_unread) and "silent" or nil
    end

    local function keys_in(keyset)
        local keys, entries = {}, entries_of(keyset)
        for i = 1, #entries, 2 do
            keys[#keys + 1] = entries[i]
        end
        return keys
    end

    local function queued_view(ticket)
        local lane, keyset = string.match(ticket.queue, "^(.*)|([^|]+)$")
        local view = { lane = lane, keyset = keyset, keys = keys_in(keyset), band = BAND_NAMES[ticket.band],
            tenant = ticket.tenant, input = ticket.input, output = ticket.output, predicted = ticket.predicted,
            waited_ms = pool.now - ticket.enqueued_at, deadline_ms = ticket.at - pool.lease,
            silence = silence_of(ticket.process), position = 0, outages = 0 }
        for _, key in ipairs(view.keys) do
            local outage = pool.outages[key]
            view.outages = view.outages + (outage and (outage[1] == 0 or outage[1] > pool.now) and 1 or 0)
        end
        start_of(ticket, view)
        return view
    end

    -- A lease; of one that has expired what it has charged.
    local function lease_view(ticket)
        local charges = {}
        for i, charge in ipairs(ticket.charges) do
            local bucket, domain, lane = bucket_of(charge), string.match(charge.field, "^(.*)|([^|]+)$")
            local unit = bucket and bucket.shape.unit or 60000
            charges[i] = { domain = domain, lane = lane, resource = charge.kind % 10,
                tick_ms = charge.kind % 100 > 10 and 1440 or 1, charged = math.floor(charge.charged / unit),
                held = math.floor(charge.hold / unit) }
        end
        return { key = ticket.key, domains = domains_in(ticket.domains), fence = ticket.order, charges = charges,
            lane = string.match(ticket.topic, "^(.*)|"), granted_ms = math.max(0, pool.lease - ticket.at) }
    end

    -- A ticket by its id: what it waits for, what it holds, or how it ended.
    function explained(id)
        local ticket = find_ticket(id)
        if not ticket then
            return { state = "unknown" }
        end
        local view = ticket.state == "q" and queued_view(ticket) or ticket.key and lease_view(ticket) or {}
        view.state, view.process = STATES[ticket.state], ticket.process
        view.tag = ticket.topic and string.match(ticket.topic, "([^|]*)$")
        return view
    end
end
