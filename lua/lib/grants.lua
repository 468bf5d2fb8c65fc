-- lib/grants: what becomes of a ticket: a lease, or a denial.

local refuse, grant
do
    -- Ends a ticket that may not go: {reason, verdict}.
    function refuse(ticket, reason, verdict)
        remember_end(ticket, "c")
        ticket.refusal = { reason, verdict }
        refused[#refused + 1] = ticket
        if ticket.process ~= pool.caller then
            tell(ticket.process, 3, string.format('["%s","%s"]', ticket.id, reason))
        end
    end

    -- The head of a flow becomes a lease: all its charges are taken from the buckets of a key and of its
    -- tenant, all or none.
    function grant(flow, choice)
        local ticket, own = flow.ticket, tenant_choice(flow.ticket)
        pool.fence = pool.fence + 1
        ticket.state, ticket.order, ticket.at, ticket.key, ticket.flow = "g", pool.fence, pool.now, choice.key, flow
        if own then
            take_charges(ticket, choice.domains .. "|" .. own.domains, { choice, own })
        else
            take_charges(ticket, choice.domains, { choice })
        end
        granted[#granted + 1] = ticket
        if ticket.process ~= pool.caller then
            tell(ticket.process, 1, string.format('["%s","%s",%d,%d]', ticket.id, ticket.key, ticket.order, ticket.spacing))
        end
    end
end
