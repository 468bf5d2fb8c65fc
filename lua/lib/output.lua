-- lib/output: how long answers are, learned by the whole fleet (ENGINE.md §3).
--
-- Per topic (lane|tag): "output|<topic>" is [quantile, samples], "outputs|<topic>" the recent
-- outputs, the newest first, each with its comma WIDTH characters wide.

local quantile_of, moves, predict, learn_output, put_outputs
do
    local RING, ENOUGH, COLD, ONE_IN, WIDTH = 50, 20, 256, 10, 10   -- one in ten is larger: the 0.9 quantile
    local answers = {}             -- topic -> {quantile, samples, fresh = {text, ...}, ring}

    -- The nth largest of a list; the least where it has fewer. Pure.
    local function nth_largest(values, nth)
        local top = {}
        for i = 1, #values do
            local value, at = values[i], #top + 1
            while at > 1 and top[at - 1] < value do
                at = at - 1
            end
            if at <= nth then
                table.insert(top, at, value)
                top[nth + 1] = nil
            end
        end
        return top[#top]
    end

    -- The outputs in a ring. Pure.
    local function outputs_in(ring)
        return cjson.decode("[" .. string.sub(ring, 1, -2) .. "]")
    end

    -- The quantile of a ring of outputs: of 50 the 5th largest. Pure.
    function quantile_of(ring)
        local values = outputs_in(ring)
        return nth_largest(values, math.max(1, math.floor(#values / ONE_IN)))
    end

    -- True when outputs that came and went can have moved the quantile: some was not below it. Pure.
    function moves(quantile, came, went)
        return came ~= went and nth_largest(outputs_in(came .. went), 1) >= quantile
    end

    -- What is known of a topic, with all that this call has learned.
    local function answers_of(topic)
        local known = answers[topic]
        if not known then
            local stored = read_json(redis.call("HGET", KEYS[1], "output|" .. topic), { 0, 0 })
            known = { quantile = stored[1], samples = stored[2], fresh = {} }
            answers[topic] = known
        end
        if #known.fresh > 0 then
            local came = table.concat(known.fresh)
            local ring = came .. (known.ring or redis.call("HGET", KEYS[1], "outputs|" .. topic) or "")
            local went = string.sub(ring, RING * WIDTH + 1)
            known.ring, known.fresh = string.sub(ring, 1, RING * WIDTH), {}
            if known.samples < RING or moves(known.quantile, came, went) then
                known.quantile, known.samples, known.has_moved = quantile_of(known.ring), #known.ring / WIDTH, true
            end
        end
        return known
    end

    -- Predicted output tokens: at most max_tokens. True with it while there are not enough samples:
    -- then at most 256, and at most an eighth of the capacity (lib/charge).
    function predict(topic, max_tokens)
        local known = answers_of(topic)
        if known.samples < ENOUGH then
            return math.min(max_tokens, COLD), true
        end
        return math.max(1, math.min(max_tokens, known.quantile)), false
    end

    function learn_output(topic, tokens)
        local known = answers[topic] or answers_of(topic)
        table.insert(known.fresh, 1, string.format("%9d,", math.min(tokens, 999999999)))
    end

    -- Puts what was learned among the fields that are written at the end.
    function put_outputs(put)
        for topic in pairs(answers) do
            local known = answers_of(topic)
            if known.ring then
                put("outputs|" .. topic, known.ring)
            end
            if known.has_moved then
                put("output|" .. topic, string.format("[%d,%d]", known.quantile, known.samples))
            end
        end
    end
end
