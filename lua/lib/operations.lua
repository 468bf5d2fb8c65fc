-- lib/operations: what a process may ask for in a step. Each is idempotent by its ticket's id.

local asked = {}               -- ids enqueued by this call -> the ticket

-- enqueue: {"e", id, key set, lane, input, max output, wait ms, band, tenant, tag, preferred key, max queued}
local function enqueue(op)
    local id, queue = op[2], op[4] .. "|" .. op[3]
    asked[id] = asked[id] or find_ticket(id)
    if asked[id] then
        return
    end
    if #keys_of(op[3]) == 0 then
        error("step: unknown key set; register first")
    end
    pool.seq = pool.seq + 1
    local predicted, cold = predict(op[4] .. "|" .. op[10], op[6])
    local ticket = { id = id, state = "q", process = pool.caller, queue = queue, order = pool.seq, input = op[5],
        output = op[6], predicted = predicted, cold = cold and 1 or 0, enqueued_at = pool.now,
        at = pool.now + op[7], band = op[8], tenant = op[9], tag = op[10], key = op[11], domains = "",
        charges = {}, is_fresh = true }
    asked[id] = ticket
    if pool.queues[queue] and count_waiting(queue) + #(fresh[queue] or {}) >= op[12] then
        refusals[id] = { "queue_full", {} }
        return
    end
    fresh[queue] = fresh[queue] or {}
    table.insert(fresh[queue], ticket)
end

-- Takes back a ticket that this very call enqueued.
local function withdraw(ticket)
    for i, other in ipairs(fresh[ticket.queue]) do
        if other == ticket then
            table.remove(fresh[ticket.queue], i)
        end
    end
    refusals[ticket.id] = nil
    remember_end(ticket, "c")
    return { "c", "q" }
end

-- A 429 pauses its domains for the whole fleet, and empties the bucket that it named.
local function pause(ticket, pause_ms, code)
    for domain in string.gmatch(ticket.domains or "", "[^|]+") do
        local record = record_of(domain .. "|*")
        if record then
            record.pause_until = math.max(record.pause_until, pool.now + pause_ms)
            record.dirty = true
        end
    end
    for _, charge in ipairs(ticket.charges) do
        local bucket = charge.code == code and bucket_of(charge)
        if bucket then
            bucket.level = math.min(bucket.level, 0)
        end
    end
end

-- settle: {"s", id, input or -1, output or -1, pause ms or -1, code of the resource that a 429 named or 0}
local function settle_operation(op)
    local ticket = find_ticket(op[2])
    if not ticket or (ticket.state ~= "g" and ticket.state ~= "x") then
        return { "s", ticket and ticket.state or "" }
    end
    local first = ticket.state == "g"
    settle(ticket, op[3] >= 0 and op[3] or nil, op[4] >= 0 and op[4] or nil, "s")
    if first and op[5] >= 0 then
        pause(ticket, op[5], op[6])
    elseif first and op[4] > 0 then
        learn_output(string.match(ticket.queue, "^(.*)|") .. "|" .. ticket.tag, op[4])
    end
    return { "s", "s" }
end

-- The ticket's place among the waiting of its queue: 0 is the head.
local function position_of(ticket)
    local ahead = 0
    for _, member in ipairs(range("h|" .. ticket.queue, 256)) do
        local process = string.match(member, "|%d+|([^|]+)|[^|]+$")
        local line = "w|" .. ticket.queue .. "|" .. process .. "|"
        ahead = ahead + redis.call("ZLEXCOUNT", KEYS[3], "[" .. line,
            "(" .. line .. string.format("%016.0f", ticket.order))
    end
    return ahead
end

-- What a waiting ticket waits for: {position, resource, key, need, level, most, wait ms or -1}.
local function explain(ticket)
    local verdict = choose(ticket)
    local bucket = verdict.bucket
    return { position_of(ticket), tostring(verdict.resource or ""), verdict.key or "",
        int(bucket and verdict.need / bucket.unit or 1), int(bucket and (bucket.level - bucket.held) / bucket.unit or 0),
        int(bucket and bucket.most or 0), int(verdict.wait or -1), bucket and bucket.tick or 0 }
end

-- cancel: {"c", id}. An unknown id leaves a tombstone: an enqueue on its way is refused.
local function cancel(op)
    local ticket = asked[op[2]] or find_ticket(op[2])
    if ticket and ticket.is_fresh and ticket.state == "q" then
        return withdraw(ticket)
    elseif not ticket then
        remember_end({ id = op[2] }, "c")
        return { "c", "" }
    end
    local before = ticket.state
    if before == "g" then
        undo(ticket)
    elseif before == "q" then
        local why = explain(ticket)
        leave_line(ticket)
        redis.call("HDEL", KEYS[2], ticket.id)
        remember_end(ticket, "c")
        return { "c", before, why }
    end
    return { "c", before }
end

-- heartbeat: {"h", {{id, output tokens so far}...}}. Renews only what is reported; answers the ids
-- that are unknown and the leases that were granted but not reported.
local function heartbeat(op)
    local unknown, missing, reported = {}, {}, {}
    for _, lease in ipairs(op[2]) do
        local ticket = find_ticket(lease[1])
        reported[lease[1]] = true
        if not ticket or ticket.state ~= "g" then
            unknown[#unknown + 1] = { lease[1], ticket and ticket.state or "" }
        else
            redis.call("ZADD", KEYS[4], int(pool.lease + pool.ttl), lease[1])
            if report_progress(ticket, lease[2]) then
                write_ticket(ticket, false)
            end
        end
    end
    for _, member in ipairs(redis.call("ZRANGEBYLEX", KEYS[3], "[o|" .. pool.caller .. "|", "(o|" .. pool.caller .. "}")) do
        local id = string.match(member, "([^|]+)$")
        local ticket = not reported[id] and find_ticket(id)
        if ticket and ticket.state == "g" then
            missing[#missing + 1] = { id, ticket.key, ticket.order, 0 }
        end
    end
    return { "h", unknown, missing }
end

-- leave: {"b"}. The process goes; what it still has queued is dropped.
local function leave()
    leave_order(pool.caller)
    while not drop_line(pool.caller) do
    end
    processes[pool.caller] = nil
    pool.is_leaving = true
    return { "b" }
end
