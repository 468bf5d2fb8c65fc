-- lib/tenants: weights of tenants in the order, and limits of their own (ENGINE.md §4).
--
-- "order" of KEYS[1] = [version or -1, hash, source, [superseded hashes], aging ms, {tenant: weight in
-- thousandths}, {tenant: 1 where it has limits}]. A tenant's limits are one more domain, "tenant:<name>".

local tenancy, weighed, tenant_choice
do
    local function has_tenants()
        return pool.order and string.sub(pool.order, -6) ~= "{},{}]"
    end

    function tenancy()
        if not pool.tenancy then
            local stored = read_json(pool.order, { -1, "", "", {}, 30000, {}, {} })
            pool.tenancy = { stored = stored, aging = stored[5], weights = stored[6], limited = stored[7] }
        end
        return pool.tenancy
    end

    -- What a tag advances by for so much of the limits.
    function weighed(tenant, cost)
        return math.floor(cost * 1000 / (has_tenants() and tenancy().weights[tenant] or 1000))
    end

    -- The limits of a ticket's tenant, as a choice; nil where it has none.
    function tenant_choice(ticket)
        if not has_tenants() or not tenancy().limited[ticket.tenant] then
            return nil
        end
        local domain = "tenant:" .. ticket.tenant
        choices[domain] = choices[domain] or choice_of("", domain, { domain .. "|*" })
        return choices[domain]
    end
end
