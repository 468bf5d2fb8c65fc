-- lib/crowd_entries: the keys of a crowd, read one by one.
--
-- entry|<key set>|<n>, |@<key> and |d|<domain> of KEYS[1] are texts "key|domains": of the nth key, of a key, of
-- the first key of a domain.

-- The choices that some entries name, nil where there is none.
local function choices_at(crowd, names)
    local fields, wanted, found = {}, {}, {}
    for i = 1, #names do
        fields[i] = "entry|" .. crowd.keyset .. "|" .. names[i]
    end
    local texts = read_fields(KEYS[1], fields)
    for i = 1, #names do
        local key, domains = string.match(texts[i] or "", "^([^|]+)|(.*)$")
        texts[i] = key and { key, domains, fields_of(domains, crowd.lane) }
        for _, field in ipairs(key and texts[i][3] or {}) do
            wanted[#wanted + 1] = field
        end
    end
    load_records(wanted)
    for i = 1, #names do
        local key = texts[i] and texts[i][1]
        if key and not crowd.choices[key] then
            crowd.choices[key] = choice_of(key, texts[i][2], texts[i][3])
        end
        found[i] = key and crowd.choices[key] or false
    end
    return found
end
