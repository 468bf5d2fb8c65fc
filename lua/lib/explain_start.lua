-- lib/explain_start: when a waiting ticket is expected to be granted, and what it waits for until then.
-- Of the first to go that is certain, of the others projected (lib/explain_supply). Changes nothing.

local start_of
do
    -- What binds in a projection, in amounts; `level` is of all the accounts together.
    local function binding_view(binding, is_own)
        local supply, level, limit, domains = binding.supply, 0, 0, {}
        for i, source in ipairs(supply.sources) do
            level, limit = level + source.bucket.level - source.bucket.held, limit + supply.shape.rate
            domains[i] = source.domain
        end
        return { resource = supply.shape.code, tick_ms = supply.shape.tick, level = math.floor(level / supply.shape.unit),
            need = math.ceil(binding.need / supply.shape.unit), ahead = math.ceil(binding.ahead / supply.shape.unit),
            limit = limit, domains = domains, is_tenants = is_own }
    end

    local function verdict_view(verdict, is_own)
        local wait, resource, key, need, level, most, tick = binding_of(verdict)
        return { resource = resource, tick_ms = tick, need = need, level = level, limit = most, ahead = 0, key = key,
            domains = verdict.choice and domains_in(verdict.choice.domains) or {}, is_tenants = is_own }, wait
    end

    -- As the first to go: what its queue waits for.
    local function as_first(verdict, is_own, view)
        local binding, wait = verdict_view(verdict, is_own)
        view.refusal, view.binding, view.start_ms = verdict.refusal, binding, wait >= 0 and wait or nil
        view.is_exact, view.calls = true, wait < 0 and (binding.resource == "concurrency" and "slots" or "holds") or nil
    end

    -- Behind others: the work ahead, carried by the keys and by what its tenant may take.
    local function as_later(ticket, flow, view)
        local lane, own = string.match(ticket.queue, "^(.*)|[^|]+$"), tenant_choice(ticket)
        local plan = plan_of(choices_of(ticket.queue), ticket)
        local function part(sums)
            return { sums = sums, lane = lane, is_same = true }
        end
        local ahead = work_ahead(ticket, flow, function(sums)
            return (carry(plan, { part(sums) }, ticket))
        end)
        local others = others_before(ticket, ahead.higher.share)
        local work = { part(ahead.own), part(ahead.tenants), part(ahead.higher), part(ahead.lower), unpack(others) }
        local start, binding = carry(plan, work, ticket)
        local is_own = false
        if own then
            local its_work = { part(ahead.own) }
            for band = 0, ticket.band - 1 do
                its_work[#its_work + 1] = part(complete(flow_of(flow.queue, band, ticket.tenant)))
            end
            local its_start, its_binding = carry(plan_of({ own }, ticket), its_work, ticket)
            if its_start > start then
                start, binding, is_own = its_start, its_binding, true
            end
        end
        view.ahead, view.position, view.others = {}, 0, 0
        for name, sums in pairs(ahead) do
            view.ahead[name] = math.floor(sums.waiting)
            view.position = view.position + view.ahead[name]
        end
        for _, other in ipairs(others) do
            view.others = view.others + math.floor(other.sums.waiting)
        end
        local has_slot = plan.slots > (start > 0 and 0 or view.position)
        view.calls = not has_slot and "slots" or has_holds_in_the_way(plan, ticket) and "holds" or nil
        view.start_ms, view.opens_ms = start < NEVER and start or nil, plan.opens < NEVER and plan.opens or nil
        view.binding = binding and binding_view(binding, is_own) or nil
        view.is_small = binding ~= nil and not is_own and view.position > view.ahead.own
            and 2 * binding.need * (view.position + view.others) < binding.ahead or nil
    end

    -- True when a flow that waits for its tenant's limit may come in between.
    local function may_be_overtaken(queue, wait)
        local member = queue[AT.PARKED] > 0 and range("p|" .. queue[AT.NUMBER], 1)[1]
        return member and tonumber(string.match(member, "^p|%d+|(%d+)")) <= pool.now + wait
    end

    -- Fills a view of a waiting ticket in. Queues take turns in the order in which their heads arrived: the
    -- head of one is the first to go when no older ticket of another wants the same accounts.
    function start_of(ticket, view)
        local queue = queue_of(ticket.queue)
        local flow, head = complete(flow_of(queue, ticket.band, ticket.tenant)), next_flow(queue)
        local verdict, is_own = judge(ticket)
        local is_first = head and head.id == ticket.id and not may_be_overtaken(queue, verdict.wait)
        if verdict.refusal or (is_first and #others_before(ticket, 0) == 0) then
            as_first(verdict, is_own, view)
        else
            as_later(ticket, flow, view)
        end
    end
end
