-- lib/learning: what settled leases teach: the lengths of answers, and how much of what is reserved is
-- consumed (lib/ratio).
--
-- Per topic (lane|tag): "output|<topic>" is lib/output's, "outputs|<topic>" <the recent outputs, the newest first>
-- (lib/records).

--@include lib/ratio

local ONE_IN, WIDTH = 10, 8    -- one in ten is larger: the 0.9 quantile; bytes of an output

-- The outputs in a ring, the least first. Pure.
local function outputs_in(ring)
    local values = numbers_in(ring)
    table.sort(values)
    return values
end

-- The quantile of a ring of outputs: of 50 the 5th largest. Pure.
local function quantile_of(ring)
    local values = outputs_in(ring)
    return values[#values + 1 - math.max(1, math.floor(#values / ONE_IN))]
end

-- True when outputs that came and went can have moved the quantile: some was not below it. Pure.
local function moves(quantile, came, went)
    local values = outputs_in(came .. went)
    return came ~= went and values[#values] >= quantile
end

local learn_outputs
do
    -- Leases in flight without those that end in this call.
    local function still_in_flight()
        local count = redis.call("ZLEXCOUNT", KEYS[3], "[o|", "(o}")
        for i = 1, #left do
            count = string.sub(left[i], 1, 2) == "o|" and count - 1 or count
        end
        return count
    end

    -- How many samples are told of. Those that end first are the short ones: as long as more than one in ten of
    -- what was begun is still in flight, what is known is not enough to predict. (What failed never ends as a sample:
    -- there are no more in flight than the pool has.)
    local function told_of(topic, known, kept)
        local _, is_cold = predict(topic, 1)
        local left_of_topic = (known[4] or 0) - known[3]
        local is_early = is_cold == 1 and known[3] < (ONE_IN - 1) * left_of_topic
            and known[3] < (ONE_IN - 1) * still_in_flight()
        return is_early and known[2] or kept
    end

    function learn_outputs(topic, outputs)
        local known = answers_of(topic)
        local came = packed(outputs)
        local ring = came .. (redis.call("HGET", KEYS[1], "outputs|" .. topic) or "")
        local kept, went = string.sub(ring, 1, RING * WIDTH), string.sub(ring, RING * WIDTH + 1)
        written[#written + 1] = "outputs|" .. topic
        written[#written + 1] = kept
        if known[2] < RING or moves(known[1], came, went) then
            known[3] = (known[3] or known[2]) + #outputs
            known[1], known[2], known.is_changed = quantile_of(kept), told_of(topic, known, #kept / WIDTH), true
        end
    end
end

local function learn()
    local outputs = {}
    for _, lesson in ipairs(lessons) do
        local topic, lane = lesson.topic, string.match(lesson.topic, "^(.*)|")
        outputs[topic] = outputs[topic] or {}
        table.insert(outputs[topic], 1, lesson.output)
        for _, entry in ipairs(lesson) do
            learn_ratio(lane, unpack(entry))
        end
    end
    for topic, fresh in pairs(outputs) do
        learn_outputs(topic, fresh)
    end
    write_ratios()
end
