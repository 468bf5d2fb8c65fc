-- lib/answer: what a step tells its caller, as JSON.

local wakes = {}               -- the caller's timers: JSON of [queue, ticket id, ms]
local refused = {}             -- tickets that it denied or ended: each has a refusal, as reason_text has it
local granted = {}             -- tickets granted by this call
local binding_of, reason_text, answer
do

    -- What binds in a verdict: wait ms (-1: not by time alone), resource, key, need, level, limit, tick.
    function binding_of(verdict)
        local cause = verdict.cause or {}
        local bucket, key = cause.bucket, verdict.choice and verdict.choice.key or ""
        local wait = verdict.wait and verdict.wait < NEVER and verdict.wait or -1
        if not bucket then
            return wait, cause.resource or "", key, cause.slots and 1 or 0, cause.free or 0, cause.slots or 0, 1
        end
        local shape = bucket.shape
        return wait, cause.resource, key, math.ceil(cause.need / shape.unit),
            math.floor((bucket.level - bucket.held) / shape.unit), shape.most, shape.tick
    end

    -- JSON of why a ticket does not go: reason, what binds, and how many wait before it.
    function reason_text(reason, verdict, position)
        local wait, resource, key, need, level, most, tick = binding_of(verdict)
        return string.format('"%s",%d,"%s","%s",%d,%d,%d,%d,%d', reason, wait, resource, key, need, level, most, tick,
            position)
    end

    -- The answer to an enqueue, from what the step made of the ticket.
    local function enqueued(ticket)
        if ticket.state == "g" then
            return string.format('["g","%s",%d,%d]', ticket.key, ticket.order, ticket.spacing or 0)
        elseif ticket.state == "q" then
            return '["q"]'
        elseif ticket.refusal then
            return '["d",' .. ticket.refusal .. "]"
        end
        return string.format('["e","%s"]', ticket.state)
    end

    -- Of these tickets the ones that the caller had enqueued before, each as `text` makes it.
    local function of_caller(list, asked, text)
        local out = {}
        for _, ticket in ipairs(list) do
            if ticket.process == pool.caller and not asked[ticket.id] then
                out[#out + 1] = text(ticket)
            end
        end
        return table.concat(out, ",")
    end

    function answer(calls, results, asked)
        for i, call in ipairs(calls) do
            results[i] = results[i] or enqueued(tickets[call[2]])
        end
        local grants = #granted > 0 and of_caller(granted, asked, function(ticket)
            return string.format('["%s","%s",%d,%d]', ticket.id, ticket.key, ticket.order, ticket.spacing)
        end)
        local ends = #refused > 0 and of_caller(refused, asked, function(ticket)
            return string.format('["%s",%s]', ticket.id, ticket.refusal)
        end)
        return string.format('["ok",%d,%d,[%s],[%s],[%s],[%s]]', pool.fence, pool.now, table.concat(results, ","),
            grants or "", table.concat(wakes, ","), ends or "")
    end
end
