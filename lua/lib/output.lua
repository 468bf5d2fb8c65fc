-- lib/output: how long answers are, learned by the whole fleet (ENGINE.md §3).
--
-- Per lane and tag: "output|<lane|tag>" is [quantile, samples], "outputs|<lane|tag>" the ring of
-- recent outputs, its next slot first.

local RING, ENOUGH, COLD, TOP = 50, 20, 256, 5   -- the 5th largest of 50 is the 0.9 quantile

local predictions = {}         -- "lane|tag" -> {quantile, samples}
local rings = {}               -- "lane|tag" -> ring, where it was added to

-- The least of the largest `count` values. Pure.
local function nth_largest(values, first, count)
    local top = {}
    for i = first, #values do
        local value, at = values[i], #top + 1
        while at > 1 and top[at - 1] < value do
            at = at - 1
        end
        if at <= count then
            table.insert(top, at, value)
            top[count + 1] = nil
        end
    end
    return top[#top] or 0
end

-- Predicted output tokens: at most max_tokens. Before enough samples: min(max_tokens, 256); the
-- bucket adds capacity / 8.
local function predict(lane_tag, max_tokens)
    local known = predictions[lane_tag]
    if not known then
        known = read_json(redis.call("HGET", KEYS[1], "output|" .. lane_tag), { 0, 0 })
        predictions[lane_tag] = known
    end
    if known[2] < ENOUGH then
        return math.min(max_tokens, COLD), true
    end
    return math.max(1, math.min(max_tokens, known[1])), false
end

local function learn_output(lane_tag, tokens)
    local ring = rings[lane_tag] or read_json(redis.call("HGET", KEYS[1], "outputs|" .. lane_tag), { 2 })
    rings[lane_tag] = ring
    ring[ring[1]] = tokens
    ring[1] = ring[1] > RING and 2 or ring[1] + 1
end

local function save_outputs()
    for lane_tag, ring in pairs(rings) do
        local samples = #ring - 1
        local quantile = nth_largest(ring, 2, math.max(1, math.floor(samples * TOP / RING)))
        redis.call("HSET", KEYS[1], "outputs|" .. lane_tag, "[" .. table.concat(ring, ",") .. "]",
            "output|" .. lane_tag, string.format("[%.0f,%.0f]", quantile, samples))
    end
end
