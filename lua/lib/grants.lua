-- lib/grants: what becomes of a ticket: a lease, or a denial.

-- Ends a ticket that may not go: {reason, verdict}.
local function refuse(ticket, reason, verdict)
    remember_end(ticket, "c")
    ticket.refusal = { reason, verdict }
    refused[#refused + 1] = ticket
    if ticket.process ~= pool.caller then
        tell(ticket.process, 3, string.format('["%s","%s"]', ticket.id, reason))
    end
end

-- Makes a ticket a lease: all its charges are taken from the buckets of a key, all or none.
local function grant(ticket, choice)
    pool.fence = pool.fence + 1
    ticket.state, ticket.order, ticket.at, ticket.key = "g", pool.fence, pool.now, choice.key
    take_charges(ticket, choice.domains, choice.records)
    granted[#granted + 1] = ticket
    if ticket.process ~= pool.caller then
        tell(ticket.process, 1, string.format('["%s","%s",%d,%d]', ticket.id, ticket.key, ticket.order, ticket.spacing))
    end
end
