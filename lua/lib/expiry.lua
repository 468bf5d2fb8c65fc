-- lib/expiry: ends leases whose holder has not renewed them: what is left of a hold counts as consumed.
--
-- KEYS[4], by the lease clock: a ticket id is due when the last heartbeat that reported it is one TTL old;
-- "@<process>" when the first of its leases that was never reported can be so, counted from the grant.
-- process[5] says when that is; 0: it has no such member.

local AT_ONCE = 100
local NO_LEASE = 2 ^ 52         -- due later than any

-- Ends the leases of a process that were never reported and are one TTL old; marks when to look again.
local function look_at_process(id)
    local ids, due = {}, nil
    for i, member in ipairs(range("o|" .. id, -1)) do
        ids[i] = string.sub(member, #id + 4)
    end
    load_tickets(ids)
    local reported = read_fields(KEYS[4], ids, "ZMSCORE")
    for i, ticket_id in ipairs(ids) do
        local ticket = tickets[ticket_id]
        local at = ticket and ticket.state == "g" and not reported[i] and ticket.at + pool.ttl
        if at and at <= pool.lease then
            settle(ticket, nil, nil, "x")
        elseif at then
            due = math.min(due or at, at)
        end
    end
    local process = process_of(id)
    if process then
        process[5], process.dirty = due or 0, true
    end
    if due then
        renewed[#renewed + 1] = string.format("%d", due)
        renewed[#renewed + 1] = "@" .. id
    else
        freed[#freed + 1] = "@" .. id
    end
    return due
end

local function expire_leases()
    local limit = string.format("%d", pool.lease)
    local members = redis.call("ZRANGEBYSCORE", KEYS[4], "-inf", limit, "LIMIT", 0, AT_ONCE)
    local next_due = tonumber(redis.call("ZRANGE", KEYS[4], #members, #members, "WITHSCORES")[2] or NO_LEASE)
    for _, member in ipairs(members) do
        local process = string.match(member, "^@(.*)$")
        local ticket = not process and find_ticket(member)
        if process then
            next_due = math.min(next_due, look_at_process(process) or next_due)
        elseif ticket and ticket.state == "g" then
            settle(ticket, nil, nil, "x")
        else
            freed[#freed + 1] = member
        end
    end
    pool.expires = next_due
end
