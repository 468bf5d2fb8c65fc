-- lib/explain_others: what other queues take from the accounts of one: queues take their turns in the order
-- in which their heads arrived, so what came before a ticket is expected to go before it. Changes nothing.

local others_before
do
    -- The share of a queue's accounts that are among `domains`.
    local function overlap(name, domains)
        local shared, all = 0, 0
        for _, choice in ipairs(choices_of(name)) do
            for _, domain in ipairs(domains_in(choice.domains)) do
                all, shared = all + 1, shared + (domains[domain] and 1 or 0)
            end
        end
        return all > 0 and shared / all or 0
    end

    local function add_queue(sums, queue, ticket, share)
        for band = 0, 2 do
            local list, times = flows_in(queue, band)
            for _, flow in ipairs(list) do
                local _, count = lines_before(flow, ticket)
                add_sums(sums, flow, math.min(flow.waiting, count) * share * times)
            end
        end
    end

    -- Parts of work (lib/explain_supply), one per other queue with tickets that came before this one.
    function others_before(ticket)
        local parts, domains, lane = {}, {}, string.match(ticket.queue, "^(.*)|[^|]+$")
        for _, choice in ipairs(choices_of(ticket.queue)) do
            for _, domain in ipairs(domains_in(choice.domains)) do
                domains[domain] = true
            end
        end
        for _, name in ipairs(queue_names()) do
            local share = name ~= ticket.queue and overlap(name, domains) or 0
            if share > 0 then
                local sums, other = no_tickets(), string.match(name, "^(.*)|[^|]+$")
                add_queue(sums, queue_of(name), ticket, share)
                parts[#parts + 1] = sums.waiting > 0 and { sums = sums, lane = other, is_same = other == lane } or nil
            end
        end
        return parts
    end
end
