-- lib/places: where flows stand is written once, at the end of a call (lib/flows).

local close_queues, place_flows
do
    -- The member that tells the place of a flow; "" when it has none.
    local function member_of(flow)
        local number, band = flow.queue[AT.NUMBER], flow.band
        if flow.order > 0 then
            local tail = string.format("%016d|%d|%s|%s|%s", flow.order, flow.at, flow.tenant, flow.process, flow.id)
            if flow.wake then
                return string.format("p|%d|%016d|%d|%s", number, flow.wake, band, tail)
            end
            return string.format("t|%d|%d|%016d|%s", number, band, flow.tag, tail)
        elseif flow.waiting == 0 and flow.tag > flow.queue[AT.VIRTUAL + band] then
            return string.format("e|%d|%d|%016d|%s", number, band, flow.tag, flow.tenant)
        end
        return ""
    end

    -- Writes a flow, or forgets it: as an empty one behind the virtual time it is like none.
    local function place(flow)
        local member = member_of(complete(flow))
        if member ~= flow.member then
            left[#left + 1] = flow.member ~= "" and flow.member or nil
            if member ~= "" then
                joined[#joined + 1] = "0"
                joined[#joined + 1] = member
            end
        end
        if flow.waiting > 0 or member ~= "" then
            written[#written + 1] = "flow|" .. flow.key
            written[#written + 1] = string.format('[%d,%d,%d,%d,%d,"%s"]', flow.tag, flow.waiting, flow.input, flow.output,
                flow.predicted, member)
        elseif not flow.queue.is_new then
            dropped[#dropped + 1] = "flow|" .. flow.key
        end
    end

    -- Forgets the empty flows among these members, but not those that this call has looked at.
    local function forget_empty(queue, members, upto)
        for _, member in ipairs(members) do
            local band, tag, tenant = string.match(member, "^e|%d+|(%d)|(%d+)|(.*)$")
            local key = flow_key(queue, tonumber(band), tenant)
            if tonumber(tag) <= upto and not (flows[key] and flows[key].is_changed) then
                left[#left + 1] = member
                dropped[#dropped + 1] = "flow|" .. key
            end
        end
    end

    --@include lib/closing

    local function place_lines()
        for name, line in pairs(lines) do
            if line.is_changed and line[1] > 0 then
                written[#written + 1] = "line|" .. name
                written[#written + 1] = string.format("[%d,%d,%d,%d,%d]", unpack(line, 1, 5))
            elseif line.is_changed then
                dropped[#dropped + 1] = "line|" .. name
            end
        end
    end

    function place_flows()
        place_lines()
        for _, flow in pairs(flows) do
            if flow.is_changed then
                place(flow)
            end
        end
        for _, queue in pairs(pool.queues) do
            for band = 0, 2 do
                if queue[AT.VIRTUAL + band] > 0 and reading[string.format("%d|%d", queue[AT.NUMBER], band)] then
                    forget_empty(queue, range(string.format("e|%d|%d", queue[AT.NUMBER], band), 2), queue[AT.VIRTUAL + band])
                end
            end
        end
    end
end
