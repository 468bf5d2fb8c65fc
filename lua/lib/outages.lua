-- lib/outages: keys out of service, and how they are written: {key id: [until (0 = for ever), reason]}. Pure.

-- Forgets those that are over; true when there were any.
local function forget_outages(outages, now)
    local were_any = false
    for key, outage in pairs(outages) do
        if outage[1] > 0 and outage[1] <= now then
            outages[key], were_any = nil, true
        end
    end
    return were_any
end

-- The text of all, and how many they are.
local function outages_text(outages)
    local out = {}
    for key, outage in pairs(outages) do
        out[#out + 1] = string.format('"%s":[%d,"%s"]', key, outage[1], outage[2])
    end
    return "{" .. table.concat(out, ",") .. "}", #out
end
