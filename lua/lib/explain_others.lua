-- lib/explain_others: what other queues take from the accounts of one, before a ticket of it: of the heads of
-- queues the one goes first that arrived first (lib/pump). Reads, changes nothing.

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

    -- The latest order of arrival among a ticket and those that go before it (lib/explain_mates): until such a one
    -- is the head of its queue, what came to other queues before it goes first. `share`: of higher bands.
    local function latest_order(ticket, share)
        local latest, queue = ticket.order, queue_of(ticket.queue)
        for band = 0, ticket.band do
            for _, flow in ipairs((flows_in(queue, band))) do
                local gone = band < ticket.band and flow.waiting * share or band == ticket.band and flow.gone or 0
                latest = flow.wake and latest or math.max(latest, order_reached(flow, gone))
            end
        end
        return latest
    end

    -- Adds what goes from a queue before a head that arrived at `order`: its own head, once that came later,
    -- holds up what is behind it.
    local function add_queue(sums, queue, process, order, share)
        for band = 0, 2 do
            local list, times = flows_in(queue, band)
            local counts, held_up = {}, NEVER
            for i, flow in ipairs(list) do
                local _, count = lines_before(flow, process, order)
                counts[i], flow.step = count, flow.step or step_of(queue, flow.tenant, flow)
                if count < flow.waiting and not flow.wake then
                    held_up = math.min(held_up, flow.tag + count * flow.step)
                end
            end
            for i, flow in ipairs(list) do
                local count = held_up < NEVER and gone_by(flow, held_up, flow.step, true) or counts[i]
                add_sums(sums, flow, math.min(flow.waiting, counts[i], count) * share * times)
            end
            if held_up < NEVER then
                return
            end
        end
    end

    -- Parts of work (lib/explain_supply), one per other queue of which something goes before the ticket.
    function others_before(ticket, share_of_higher)
        local parts, domains, lane = {}, {}, string.match(ticket.queue, "^(.*)|[^|]+$")
        for _, choice in ipairs(choices_of(ticket.queue)) do
            for _, domain in ipairs(domains_in(choice.domains)) do
                domains[domain] = true
            end
        end
        local latest = nil
        for _, name in ipairs(queue_names()) do
            local share = name ~= ticket.queue and overlap(name, domains) or 0
            if share > 0 then
                latest = latest or latest_order(ticket, share_of_higher)
                local sums, other = no_tickets(), string.match(name, "^(.*)|[^|]+$")
                add_queue(sums, queue_of(name), ticket.process, latest, share)
                parts[#parts + 1] = sums.waiting > 0 and { sums = sums, lane = other, is_same = other == lane } or nil
            end
        end
        return parts
    end
end
