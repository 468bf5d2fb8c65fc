-- lib/grants: what becomes of a ticket: a lease, or a denial.

local messages = {}            -- process -> {grants, wakes, ended}: lists of JSON texts: lib/mailboxes
local tell, refuse, grant
do
    -- Notes a message for a process: kind 1 a grant, 2 a wake time, 3 an ended ticket.
    function tell(id, kind, text)
        messages[id] = messages[id] or { {}, {}, {} }
        table.insert(messages[id][kind], text)
    end

    -- Ends a ticket that may not go, with so many before it in its queue.
    function refuse(ticket, reason, verdict, position)
        remember_end(ticket, "c")
        ticket.refusal = reason_text(reason, verdict, position)
        refused[#refused + 1] = ticket
        if ticket.process ~= pool.caller then
            tell(ticket.process, 3, string.format('["%s",%s]', ticket.id, ticket.refusal))
        end
    end

    -- Whether a lease's end is learned from (lib/learning): of what is known already one in eight teaches, and only where
    -- its step is the first in 10 ms. So learning costs little however many leases end.
    local function teaching(cold, fence)
        local is_first = math.floor(pool.now / 10) ~= math.floor(pool.seen_before / 10)
        return cold > 0 or (is_first and fence % 8 == 0)
    end

    -- A ticket becomes a lease: all its charges are taken from the buckets of a key and of its tenant, all or
    -- none.
    function grant(ticket, choice)
        local own, fence = tenant_choice(ticket), pool.fence + 1
        pool.fence, ticket.state, ticket.order, ticket.at, ticket.key = fence, "g", fence, pool.lease, choice.key
        choice.is_used = true
        if ticket.cold == 1 then
            local known = answers_of(ticket.topic)
            known[4], known.is_changed = (known[4] or 0) + 1, true
        end
        ticket.teaches = teaching(ticket.cold, fence)
        take_charges(ticket, own and choice.domains .. "|" .. own.domains or choice.domains, { choice, own })
        granted[#granted + 1] = ticket
        if ticket.process ~= pool.caller then
            tell(ticket.process, 1, string.format('["%s","%s",%d,%d]', ticket.id, ticket.key, fence, ticket.spacing))
        end
    end
end
