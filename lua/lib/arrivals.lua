-- lib/arrivals: the new tickets of a call line up, and waiting ones that nobody wants any more are withdrawn,
-- in the order of the operations.

local function arrive(later, results)
    for i = 1, #later do
        local call = later[i]
        if call.id then                            -- a new ticket already
            line_up(call)
        elseif call[1] == "e" then
            if not find_ticket(call[2]) then
                line_up(new_ticket(call))
            end
        elseif call[3].state == "q" then
            --@include lib/cancel
            results[call[2]] = withdraw(call[3])
        end
    end
end
