-- lib/offers: what a process brings with it is compared with what holds, one by one; an offer that is in force as
-- a whole already is recognised by its digest.

-- {domain, "applied" | "same" | "kept", ...}, and what happened anywhere: {applied = true, ...}; `moved` where a
-- key has other domains than before.
local function compare_offer(offer, is_survivor)
    local outcome, seen = {}, {}
    seen[apply_order(offer)] = true
    for i, domain in ipairs(offer.domains) do
        outcome[2 * i - 1], outcome[2 * i] = domain[1], apply_domain(offer, domain, is_survivor)
        seen[outcome[2 * i]] = true
        touch_tenants(domain[1])
    end
    for _, key in ipairs(offer.keys) do
        local found = apply_key(offer, key[1], key[2])
        seen[found], seen.moved = true, seen.moved or found == "applied"
    end
    if seen.applied or not seen.kept then
        redis.call("HSET", KEYS[1], "accepted", seen.kept and "" or offer.digest)
    end
    return outcome, seen
end

local function apply_offer(offer, is_survivor)
    if offer.force or redis.call("HGET", KEYS[1], "accepted") ~= offer.digest then
        return compare_offer(offer, is_survivor)
    end
    local outcome = {}
    for i, domain in ipairs(offer.domains) do
        outcome[2 * i - 1], outcome[2 * i] = domain[1], "same"
    end
    return outcome, {}
end
