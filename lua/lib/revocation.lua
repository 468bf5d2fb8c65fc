-- lib/revocation: {"c", id}, of a ticket that does not wait. An id that is not known leaves a tombstone: an
-- enqueue on its way is refused.

local function cancel_operation(op)
    local ticket = find_ticket(op[2]) or { id = op[2], state = "", is_fresh = true }
    local before = ticket.state
    if before == "g" then
        undo(ticket)
    elseif before == "" then
        remember_end(ticket, "c")
    end
    return string.format('["c","%s"]', before)
end
