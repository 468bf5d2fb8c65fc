-- lib/output: how long answers are, learned by the whole fleet (ENGINE.md §3).
--
-- Per lane and tag: "output|<lane|tag>" is [quantile, samples], "outputs|<lane|tag>" the recent
-- outputs, the newest first, WIDTH digits each.

local RING, ENOUGH, COLD, ONE_IN, WIDTH = 50, 20, 256, 10, 12   -- one in ten is larger: the 0.9 quantile
local answers = {}             -- "lane|tag" -> {quantile, samples, ring, is_stale}

-- The nth largest of a list; the least where it has fewer. Pure.
local function nth_largest(values, nth)
    local top = {}
    for _, value in ipairs(values) do
        local at = #top + 1
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

-- The quantile of a ring of outputs: of 50 the 5th largest. Pure.
local function quantile_of(ring)
    local values = {}
    for i = 1, #ring, WIDTH do
        values[#values + 1] = tonumber(string.sub(ring, i, i + WIDTH - 1))
    end
    return nth_largest(values, math.max(1, math.floor(#values / ONE_IN)))
end

local function answers_of(lane_tag)
    if not answers[lane_tag] then
        local known = read_json(redis.call("HGET", KEYS[1], "output|" .. lane_tag), { 0, 0 })
        answers[lane_tag] = { quantile = known[1], samples = known[2] }
    end
    return answers[lane_tag]
end

-- Predicted output tokens: at most max_tokens. True with it while there are not enough samples:
-- then at most 256, and at most an eighth of the capacity (lib/charge).
local function predict(lane_tag, max_tokens)
    local known = answers_of(lane_tag)
    if known.samples < ENOUGH then
        return math.min(max_tokens, COLD), true
    end
    return math.max(1, math.min(max_tokens, known.quantile)), false
end

-- Adds one output. What is small, in place of something small, leaves the quantile as it was.
local function learn_output(lane_tag, tokens)
    local known, oldest = answers_of(lane_tag), nil
    known.ring = known.ring or redis.call("HGET", KEYS[1], "outputs|" .. lane_tag) or ""
    local ring = string.format("%012d", tokens) .. known.ring
    if known.samples == RING then
        oldest = tonumber(string.sub(ring, -WIDTH))
        ring = string.sub(ring, 1, -WIDTH - 1)
    end
    known.ring, known.samples = ring, math.min(RING, known.samples + 1)
    known.is_stale = known.is_stale or not oldest or tokens >= known.quantile or oldest >= known.quantile
end

-- Puts what was learned among the fields that are written at the end.
local function put_outputs(put)
    for lane_tag, known in pairs(answers) do
        if known.ring then
            put("outputs|" .. lane_tag, known.ring)
            if known.is_stale then
                known.quantile = quantile_of(known.ring)
                put("output|" .. lane_tag, string.format("[%d,%d]", known.quantile, known.samples))
            end
        end
    end
end
