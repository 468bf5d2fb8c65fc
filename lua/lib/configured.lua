-- lib/configured: at which rate a bucket of a record refills at most, for bounds: that which it comes back to, if it was cut.

local function configured_rate(shape, field)
    if not shape.is_window then
        return shape.most
    end
    --@include lib/cuts
    local cut = pool.cuts[field .. "|" .. shape.kind % 100]
    return cut and cut[3] or shape.rate
end
