-- lib/forgetting: removes what belonged to tickets and queues that have run out (lib/outliving).

local function forget_flows()
    local gone = {}
    for _, field in ipairs(redis.call("HKEYS", KEYS[1])) do
        if string.find(field, "^flow|") or string.find(field, "^line|") then
            gone[#gone + 1] = field
        end
    end
    send("HDEL", KEYS[1], gone)
    for i = 2, #KEYS do
        redis.call("UNLINK", KEYS[i])
    end
end
