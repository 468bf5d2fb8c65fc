-- lib/learning: what settled leases teach: the lengths of answers, and how much of what is reserved is
-- consumed (lib/ratio).
--
-- Per topic (lane|tag): "output|<topic>" is [quantile, samples], "outputs|<topic>" the recent
-- outputs, the newest first, each with its comma WIDTH characters wide.

--@include lib/ratio

local ONE_IN, WIDTH = 10, 10   -- one in ten is larger: the 0.9 quantile

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
local function quantile_of(ring)
    local values = outputs_in(ring)
    return nth_largest(values, math.max(1, math.floor(#values / ONE_IN)))
end

-- True when outputs that came and went can have moved the quantile: some was not below it. Pure.
local function moves(quantile, came, went)
    return came ~= went and nth_largest(outputs_in(came .. went), 1) >= quantile
end

local function learn_outputs(topic, outputs)
    local known = answers_of(topic)
    local came = table.concat(outputs)
    local ring = came .. (redis.call("HGET", KEYS[1], "outputs|" .. topic) or "")
    local kept, went = string.sub(ring, 1, RING * WIDTH), string.sub(ring, RING * WIDTH + 1)
    written[#written + 1] = "outputs|" .. topic
    written[#written + 1] = kept
    if known[2] < RING or moves(known[1], came, went) then
        known[1], known[2] = quantile_of(kept), #kept / WIDTH
        written[#written + 1] = "output|" .. topic
        written[#written + 1] = string.format("[%d,%d]", known[1], known[2])
    end
end

local function learn()
    local outputs = {}
    for _, lesson in ipairs(lessons) do
        local topic, lane = lesson.topic, string.match(lesson.topic, "^(.*)|")
        outputs[topic] = outputs[topic] or {}
        table.insert(outputs[topic], 1, string.format("%9d,", math.min(lesson.output, 999999999)))
        for _, entry in ipairs(lesson) do
            learn_ratio(lane, unpack(entry))
        end
    end
    for topic, fresh in pairs(outputs) do
        learn_outputs(topic, fresh)
    end
    write_ratios()
end
