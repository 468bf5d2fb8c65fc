-- lib/records: the small records of a pool, read once and written once per call.
--
-- Fields of KEYS[1]; in brackets JSON, in <> packed by `struct`, each number as 8 bytes: that is read in a quarter of
-- the time.
--   meta                   <fence, seq, seen, lease, presence: what each step changes; offset, ttl_ms, touched,
--                           expires, 1 where a key set is a crowd, 1 where it is calm, epoch, predecessor,
--                          lib/layouts' LAYOUT>: no
--                           lease expires before `expires`, by the lease clock; a calm pool has no queues,
--                           outages, parked processes and limits of tenants: a step need not read these
--   queues                 {queue: lib/queues} of the queues that wait
--   order                  tenants and the aging time: lib/tenants
--   outages                {key id: [until (0 = for ever), reason]}
--   cuts                   limits that were cut: lib/rates
--   parked                 [processes that have lines set aside, or may get them: silent, gone, or on their way back]
--   process|<id>           <presence seen, first unread push, state: 0 live, 1 parked, 2 must register, last
--                           call by the lease clock, due (lib/expiry), highest ticket number, last report of leases by
--                           the lease clock: none that was granted later is in KEYS[4]>
--   keyset|<hash>          the keys of a set, in their order, key id, "domain|domain", ...: of few how many texts these
--                          are, a byte, and the texts as `struct` packs them; of more JSON: lib/keysets
--   limits|<domain|lane>   <concurrency, then per bucket: kind, rate, capacity, unit, most>
--   buckets|<domain|lane>  <pause_until, at, then per bucket: level, held>
-- A kind is the resource's code, + 10 where the period is a day, + 100 * rule (lib/charge), + 1000 where
-- the provider counts windows.

local written, dropped = {}, {}  -- fields of KEYS[1] and their texts to write at the end, fields to remove
local ratios = {}        -- lane -> what lib/ratio knows of it
local answers = {}       -- topic -> what lib/output knows
local processes = {}     -- id -> {seen, pushed_at, state, last call, due, number, last report, dirty}
local records = {}       -- "domain|lane" -> {field, domain, shapes, pause_until, buckets, dirty}, or false
local pool = { state_ttl = 3600000 }   -- the meta record, `now`, and how long tickets and queues outlive calls, in ms
local open_pool, decode_limits, load_records, record_of, process_of
do
    --@include lib/layouts
    --@include lib/outages

    local shapes = {}        -- text of limits -> what it means: domains with equal limits share it

    -- Takes what every call needs, from what lib/opened has read and what a calm pool does not have. False when there is
    -- no pool.
    function open_pool(caller)
        local raw = redis.call("HMGET", KEYS[1], "queues", "outages", "parked", "order")
        pool.caller, pool.time, pool.order, pool.stored_queues = caller, server_ms, raw[4], raw[1]
        pool.mailboxes = string.sub(KEYS[1], 1, -5) .. "mailbox:"      -- "…:pool" -> "…:mailbox:<process>"
        pool.queues, pool.outages, pool.parked = read_json(raw[1], {}), read_json(raw[2], {}), read_json(raw[3], {})
        processes[caller] = opened[2] and numbers_in(opened[2]) or false
        if not opened[1] then
            return false
        end
        local _
        pool.fence, pool.seq, pool.seen, pool.lease, pool.presence, pool.offset, pool.ttl, pool.touched, pool.expires,
            pool.has_crowd, _, pool.epoch, pool.predecessor = struct.unpack(META, opened[1])
        pool.seen_before = pool.seen
        pool.now = advance(pool, pool.time, pool.ttl)
        if pool.now - pool.seen_before > pool.state_ttl then
            --@include lib/outliving
            outlive()
        end
        pool.outages_changed = forget_outages(pool.outages, pool.now)
        return true
    end

    --@include lib/shapes

    -- Loads the records of these "domain|lane" fields that are not loaded yet.
    function load_records(fields)
        local wanted, names = {}, {}
        for i = 1, #fields do
            local field = fields[i]
            if records[field] == nil then
                records[field] = false
                wanted[#wanted + 1] = field
                names[#names + 1] = "limits|" .. field
                names[#names + 1] = "buckets|" .. field
            end
        end
        local texts = read_fields(KEYS[1], names)
        for i = 1, #wanted do
            local field = wanted[i]
            if texts[2 * i - 1] then
                records[field] = decode_record(field, texts[2 * i - 1], texts[2 * i])
            end
        end
    end

    function process_of(id)
        if processes[id] == nil then
            local text = redis.call("HGET", KEYS[1], "process|" .. id)
            processes[id] = text and numbers_in(text) or false
        end
        return processes[id]
    end

    function record_of(field)
        if records[field] == nil then
            load_records({ field })
        end
        return records[field]
    end
end
