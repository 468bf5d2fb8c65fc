-- lib/rates: how fast a limit refills, where that is not as it was configured: it was cut (ENGINE.md §6).
--
-- Field `cuts` of KEYS[1]: {"domain|lane|kind % 100": [fence, at, configured, ms, rate]}: what was granted up to that fence
-- was on its way when the limit was cut, `at` is when it was cut or raised last; all of the configured rate comes back in so
-- many ms. The record of the limits has the rate that holds, so that nothing else need know. Cuts change the rate, not the
-- depth.

local set_rate
do
    local function numbers_of(shapes)
        local numbers = { shapes.concurrency }
        for i, shape in ipairs(shapes) do
            local n = 5 * i - 3
            numbers[n], numbers[n + 1], numbers[n + 2] = shape.kind, shape.rate, shape.capacity
            numbers[n + 3], numbers[n + 4] = shape.unit, shape.most
        end
        return numbers
    end

    -- A bucket of a record refills at another rate from now on; other records may share its shapes.
    function set_rate(record, bucket, rate)
        local shapes = { concurrency = record.shapes.concurrency }
        for i, each in ipairs(record.buckets) do
            local shape = each.shape
            if each == bucket then
                shape = {}
                for name, value in pairs(each.shape) do
                    shape[name] = value
                end
                shape.rate, shape.asked_by, each.shape = rate, nil, shape
            end
            shapes[i] = shape
        end
        record.shapes, record.dirty, pool.cuts_changed = shapes, true, true
        written[#written + 1], written[#written + 2] = "limits|" .. record.field, packed(numbers_of(shapes))
    end
end
