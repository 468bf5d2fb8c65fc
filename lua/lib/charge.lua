-- lib/charge: what is charged when (ENGINE.md §3). Pure.
--
-- Codes of resources: 1 requests, 2 input_tokens, 3 output_tokens, 4 tokens.
-- Rules: 0 at_start, 1 at_start_adjust, 2 as_produced.
-- A charge is {field, kind, charged, hold}: units taken and held, of the bucket that field and kind
-- tell (lib/records). A report replayed changes nothing; a hold is released once, and raises no level.

local AT_START_ADJUST, AS_PRODUCED = 1, 2

-- The amount of a resource in {one request, input, output}; nil where it is not known.
local function amount_of(code, input, output)
    if code == 1 then
        return 1
    elseif code == 2 then
        return input
    elseif code == 3 then
        return output
    end
    return input and output and input + output
end

-- The units that a ticket reserves or, as produced, holds. A prediction is at most the capacity,
-- an eighth of it as long as nothing is known.
local function need_of(shape, ticket)
    if shape.rule ~= AS_PRODUCED then
        return amount_of(shape.code, ticket.input, ticket.output) * shape.unit
    end
    local most = ticket.cold == 1 and math.floor(shape.capacity / 8) or shape.capacity
    return math.min(amount_of(shape.code, ticket.input, ticket.predicted) * shape.unit, most)
end

-- Units that must stay when the ticket goes: as long as nothing is known of the outputs, only half of
-- the capacity is staked on them.
local function stake_of(shape, ticket)
    return shape.rule == AS_PRODUCED and ticket.cold == 1 and math.floor(shape.capacity / 2) or 0
end

-- True when the ticket is larger than the limit itself: it can never go.
local function is_too_large(shape, ticket)
    return shape.rule ~= AS_PRODUCED and amount_of(shape.code, ticket.input, ticket.output) > shape.most
end

-- What units mean in the order of tenants: the time, in µs, in which they refill.
local function cost_of(shape, units)
    return math.floor(units / shape.rate * 1000)
end

-- The rule in a kind: lib/records.
local function rule_of(kind)
    return (kind % 1000 - kind % 100) / 100
end

-- Takes `need` from a bucket at the grant; returns what is charged, and what is held.
local function take(bucket, need)
    if bucket.shape.rule == AS_PRODUCED then
        bucket.held = bucket.held + need
        return 0, need
    end
    bucket.level = bucket.level - need
    return need, 0
end

-- Charges what has been produced beyond what was charged before (cumulative).
local function charge_progress(bucket, charge, units)
    local more = math.max(0, units - charge.charged)
    local freed = math.min(charge.hold, more)
    bucket.level, bucket.held = bucket.level - more, bucket.held - freed
    charge.charged, charge.hold = charge.charged + more, charge.hold - freed
end

-- Ends a charge with the actual units, or nil where nobody knows them: then all that was
-- reserved or held counts as consumed. `late`: the lease had ended before, nothing comes back.
local function settle_charge(bucket, charge, units, late)
    if rule_of(charge.kind) == AS_PRODUCED then
        charge_progress(bucket, charge, units or charge.charged + charge.hold)
        bucket.held, charge.hold = bucket.held - charge.hold, 0
    elseif rule_of(charge.kind) == AT_START_ADJUST and units then
        if units > charge.charged then
            bucket.level = bucket.level - (units - charge.charged)
            charge.charged = units
        elseif not late then
            give_back(bucket, charge.charged - units)
            charge.charged = units
        end
    end
end

-- Undoes a charge whose request was never sent.
local function return_charge(bucket, charge)
    if rule_of(charge.kind) ~= AS_PRODUCED then
        give_back(bucket, charge.charged)
    end
    bucket.held, charge.hold = bucket.held - charge.hold, 0
end
