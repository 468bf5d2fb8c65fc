-- lib/answer: what a step tells its caller.

local function denial(refusal)
    local verdict = refusal[2] or {}
    local bucket = verdict.bucket
    return { "d", refusal[1], int(verdict.wait or -1), tostring(verdict.resource or bucket and bucket.code or ""),
        verdict.key or "", int(bucket and (verdict.need or 0) / bucket.unit or 0),
        int(bucket and (bucket.level - bucket.held) / bucket.unit or 0), int(bucket and bucket.most or 0),
        bucket and bucket.tick or 0 }
end

local function granted(g)
    return { "g", g[2], g[3], g[4] }
end

-- The answer to an enqueue, from what the pump made of the ticket.
local function enqueued(id)
    local ticket = asked[id]
    if grants[id] then
        return granted(grants[id])
    elseif refusals[id] then
        return denial(refusals[id])
    elseif ticket.state == "g" then
        return { "g", ticket.key, ticket.order, 0 }
    elseif ticket.state == "q" then
        return { "q" }
    end
    return { "e", ticket.state }
end

local function answer(calls, known)
    local results, mine, ended = {}, {}, {}
    for i, call in ipairs(calls) do
        results[i] = call[1] == "e" and enqueued(call[2]) or known[i]
    end
    for id, g in pairs(grants) do
        if not asked[id] and g.process == pool.caller then
            mine[#mine + 1] = { g[1], g[2], g[3], g[4] }
        end
    end
    for id, refusal in pairs(refusals) do
        if not asked[id] and refusal.process == pool.caller then
            ended[#ended + 1] = { id, refusal[1] }
        end
    end
    return { "ok", pool.fence, pool.now, results, mine, wakes, ended }
end
