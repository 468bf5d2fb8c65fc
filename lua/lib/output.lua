-- lib/output: how long answers will be, as the fleet has learned (ENGINE.md §3): lib/learning.
--
-- Per topic (lane|tag): "output|<topic>" of KEYS[1] is <quantile, samples, all that were seen, calls that were begun while
-- there were too few> (lib/records).

local RING = 50                -- so many outputs are remembered of a topic ("lane|tag")
local answers_of, predict
do
    local ENOUGH, COLD = 20, 256

    function answers_of(topic)
        if not answers[topic] then
            local text = redis.call("HGET", KEYS[1], "output|" .. topic)
            answers[topic] = text and numbers_in(text) or { 0, 0 }
        end
        return answers[topic]
    end

    -- Predicted output tokens, at most max_tokens; and 1 (cold) while there are not enough samples: then 256, or what
    -- is known so far if that is more, and at most an eighth of the capacity (lib/charge). 2: predicted, but still
    -- learning from each.
    function predict(topic, max_tokens)
        local known = answers_of(topic)
        if known[2] < ENOUGH then
            return math.min(max_tokens, math.max(COLD, known[1])), 1
        end
        return math.max(1, math.min(max_tokens, known[1])), known[2] < RING and 2 or 0
    end
end
