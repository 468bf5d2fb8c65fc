-- lib/explain_sums: sums over waiting tickets: {waiting, input, output, predicted}. Reads, changes nothing.

local no_tickets, add_sums, flows_in, allowed, band_sums
do
    local FLOWS = 256                -- most that are looked at
    local found = {}                 -- "t|number|band" -> flows of that band, and how many times as many there are

    function no_tickets()
        return { waiting = 0, input = 0, output = 0, predicted = 0 }
    end

    -- Adds a number of the tickets of a flow to sums, each as large as their mean.
    function add_sums(sums, flow, count)
        local share = count / math.max(1, flow.waiting)
        sums.waiting, sums.input = sums.waiting + count, sums.input + flow.input * share
        sums.output, sums.predicted = sums.output + flow.output * share, sums.predicted + flow.predicted * share
    end

    -- Flows of a band: the first in their order, and some that wait for their tenant's limit; and how many times
    -- as many there are.
    function flows_in(queue, band)
        local name = string.format("t|%d|%d", queue[AT.NUMBER], band)
        if not found[name] then
            local members, list = range(name, FLOWS), {}
            for i, member in ipairs(members) do
                list[i] = complete(flow_of(queue, band, (string.match(member, "^t|%d+|%d|%d+|%d+|%d+|([^|]*)|"))))
            end
            for _, member in ipairs(queue[AT.PARKED] > 0 and range("p|" .. queue[AT.NUMBER], FLOWS) or {}) do
                local its_band, tenant = string.match(member, "^p|%d+|%d+|(%d)|%d+|%d+|([^|]*)|")
                if tonumber(its_band) == band then
                    list[#list + 1] = complete(flow_of(queue, band, tenant))
                end
            end
            found[name] = { list, #members == FLOWS and count_range(name) / FLOWS or 1 }
        end
        return unpack(found[name])
    end

    -- How many tickets of a flow its tenant's own limits let go in so many ms, and whether it has any.
    function allowed(flow, ms)
        local own, most, lane = tenant_choice(flow), flow.waiting, string.match(flow.queue.name, "^(.*)|[^|]+$")
        for _, bucket in ipairs(own and ms < NEVER and own.buckets or {}) do
            local need = used_by(bucket.shape, flow, lane, 0) / math.max(1, flow.waiting)
            if need > 0 then
                most = math.min(most, math.floor(units_by({ bucket = bucket, opens = 0, stake = 0 }, ms) / need))
            end
        end
        return math.max(0, most), own ~= nil
    end

    -- What of a band can go in so many ms, and when its oldest head will have waited for the aging time. Then
    -- whether some tenant has limits of its own.
    function band_sums(queue, band, ms)
        local sums, oldest, is_limited, list, times = no_tickets(), nil, false, flows_in(queue, band)
        for _, flow in ipairs(list) do
            local most, its = allowed(flow, ms)
            add_sums(sums, flow, most * times)
            is_limited = is_limited or its
            oldest = (flow.wake or oldest and oldest.order < flow.order) and oldest or flow
        end
        return sums, oldest and math.max(0, oldest.at + tenancy().aging + 1 - pool.now), is_limited
    end
end
