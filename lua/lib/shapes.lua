-- lib/shapes: what the texts of limits and levels mean: lib/records.

function decode_limits(text)
    local numbers = numbers_in(text)
    local decoded = { concurrency = numbers[1] }
    for i = 2, #numbers, 5 do
        local kind, capacity, unit, most = numbers[i], numbers[i + 2], numbers[i + 3], numbers[i + 4]
        decoded[(i + 3) / 5] = { kind = kind, code = kind % 10, rule = rule_of(kind), is_window = kind >= 1000,
            tick = kind % 100 > 10 and 1440 or 1, rate = numbers[i + 1], capacity = capacity, unit = unit,
            most = most, fits = math.min(capacity, most * unit), need = 0 }
    end
    return decoded
end

local function decode_record(field, limits, text)
    local state = numbers_in(text)
    local decoded, buckets, passed = shapes[limits] or decode_limits(limits), {}, pool.now - state[2]
    shapes[limits] = decoded
    for i = 1, #decoded do
        local shape, level, idle = decoded[i], state[2 * i + 1], 0
        if passed > 0 then
            level, idle = refill(shape, level, state[2], pool.now)
        end
        buckets[i] = { shape = shape, level = level, held = state[2 * i + 2], idle = idle }
    end
    return { field = field, pause_until = state[1], shapes = decoded, buckets = buckets, dirty = false,
        stored = state, stored_shapes = decoded,
        domain = string.sub(field, -2) == "|*" and string.sub(field, 1, -3) or nil }
end
