-- lib/heartbeat: {"h", {{id, output tokens so far}...}} renews the leases that a process reports.
-- Answers the reported ids that are unknown, and the leases that were granted but not reported.

local function renew(ticket)
    renewed[#renewed + 1] = string.format("%d", pool.lease + pool.ttl)
    renewed[#renewed + 1] = ticket.id
    pool.expires = math.min(pool.expires, pool.lease + pool.ttl)
end

local function heartbeat(op)
    local ids, reported, unknown, missing = {}, {}, {}, {}
    for i, lease in ipairs(op[2]) do
        ids[i], reported[lease[1]] = lease[1], true
    end
    for _, member in ipairs(range("o|" .. pool.caller, 100000)) do
        ids[#ids + 1] = string.match(member, "([^|]+)$")
    end
    load_tickets(ids)
    for _, lease in ipairs(op[2]) do
        local ticket = tickets[lease[1]]
        if ticket and ticket.state == "g" then
            renew(ticket)
            report_progress(ticket, lease[2])
        else
            unknown[#unknown + 1] = string.format('["%s","%s"]', lease[1], ticket and ticket.state or "")
        end
    end
    for i = #op[2] + 1, #ids do
        local ticket = tickets[ids[i]]
        if not reported[ids[i]] and ticket and ticket.state == "g" then
            missing[#missing + 1] = string.format('["%s","%s",%d,%d]', ticket.id, ticket.key, ticket.order,
                ticket.spacing or 0)
        end
    end
    return string.format('["h",[%s],[%s]]', table.concat(unknown, ","), table.concat(missing, ","))
end
