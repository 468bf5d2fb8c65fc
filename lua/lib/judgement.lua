-- lib/judgement: what a ticket waits for, be it a key or its tenant's own limits.

local blocked = {}             -- name of a queue -> {flow, verdict} of its blocked head
pool.bound = 512               -- tickets that this call still looks at
local judge, can_fit
do

    -- True when the limits of some key, and those of its tenant, are as large as the ticket.
    function can_fit(ticket)
        local own = tenant_choice(ticket)
        return fits(ticket) and not (own and not weigh(ticket, own, 0))
    end

    -- What a ticket waits for: its key or its tenant's limits, and which of the two.
    function judge(ticket)
        local verdict, own = choose(ticket), tenant_choice(ticket)
        if not own or verdict.refusal then
            return verdict, false
        end
        local wait, _, cause = weigh(ticket, own, 0)
        if not wait then
            return { choice = own, wait = NEVER, cause = cause, refusal = "too_large" }, true
        elseif wait > 0 then
            return { choice = own, wait = wait, cause = cause }, true
        end
        return verdict, false
    end
end
