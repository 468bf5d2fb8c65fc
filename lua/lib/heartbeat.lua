-- lib/heartbeat: {"h", JSON of {{{id, output tokens so far}...}, after, upto, asks}} renews the leases that a process
-- reports, as many at once as it likes: those whose ids follow `after`, up to `upto` ("" for all). Answers the reported
-- ids that are unknown, and the leases among these that were granted but not reported; where `asks` is 1, its share too.

local MISSING = 500            -- told at once

-- The leases of the caller with ids after one, up to another.
local function leases_between(after, upto, most)
    local prefix = "o|" .. pool.caller .. "|"
    return redis.call("ZRANGEBYLEX", KEYS[3], "(" .. prefix .. after, upto == "" and "(o|" .. pool.caller .. "}"
        or "[" .. prefix .. upto, "LIMIT", 0, most)
end

local function renew(ticket)
    renewed[#renewed + 1] = string.format("%d", pool.lease + pool.ttl)
    renewed[#renewed + 1] = ticket.id
    pool.expires = math.min(pool.expires, pool.lease + pool.ttl)
end

local function heartbeat(op)
    local said, ids, reported, unknown, missing = cjson.decode(op[2]), {}, {}, {}, {}
    local leases, process = said[1], processes[pool.caller]
    process[7] = #leases > 0 and pool.lease or process[7]
    for i, lease in ipairs(leases) do
        ids[i], reported[lease[1]] = lease[1], true
    end
    for _, member in ipairs(leases_between(said[2] or "", said[3] or "", #leases + MISSING)) do
        local id = string.sub(member, #pool.caller + 4)
        if not reported[id] then
            ids[#ids + 1] = id
        end
    end
    load_tickets(ids)
    for _, lease in ipairs(leases) do
        local ticket = tickets[lease[1]]
        if ticket and ticket.state == "g" then
            renew(ticket)
            report_progress(ticket, lease[2])
        else
            unknown[#unknown + 1] = string.format('["%s","%s"]', lease[1], ticket and ticket.state or "")
        end
    end
    for i = #leases + 1, #ids do
        local ticket = tickets[ids[i]]
        if ticket and ticket.state == "g" then
            missing[#missing + 1] = string.format('["%s","%s",%d,%d]', ticket.id, ticket.key, ticket.order,
                ticket.spacing or 0)
        end
    end
    local share = ""
    if said[4] == 1 then
        --@include lib/shares
        share = share_text()
    end
    return string.format('["h",[%s],[%s]%s]', table.concat(unknown, ","), table.concat(missing, ","), share)
end
