-- lib/charge: what is charged when (ENGINE.md §3). Pure.
--
-- Resource codes: 1 requests, 2 input_tokens, 3 output_tokens, 4 tokens.
-- Rules: 0 at_start, 1 at_start_adjust, 2 as_produced.
-- A charge is {field, code, rule, reserved, hold, charged}, in units; field names the bucket's
-- record. Invariants: a report replayed changes nothing; a hold is released once, and never
-- raises a level.

local AT_START_ADJUST, AS_PRODUCED = 1, 2

-- The amount of a resource in {requests, input, output}; nil where it is not known.
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

-- The units to reserve, and to hold, for a ticket in a bucket.
local function need_of(bucket, ticket)
    if bucket.rule == AS_PRODUCED then
        local most = ticket.cold == 1 and math.floor(bucket.capacity / 8) or bucket.capacity
        return 0, math.min(ticket.predicted * bucket.unit, most)
    end
    return amount_of(bucket.code, ticket.input, ticket.output) * bucket.unit, 0
end

-- True when the ticket is larger than the limit itself: it can never go.
local function too_large(bucket, ticket)
    if bucket.rule == AS_PRODUCED then
        return false
    end
    return amount_of(bucket.code, ticket.input, ticket.output) > bucket.most
end

-- Takes a charge from its bucket at the grant.
local function take(bucket, charge)
    bucket.level = bucket.level - charge.reserved
    bucket.held = bucket.held + charge.hold
end

-- Charges what has been produced beyond what was charged before (cumulative).
local function charge_progress(bucket, charge, units)
    local more = math.max(0, units - charge.charged)
    local freed = math.min(charge.hold, more)
    bucket.level = bucket.level - more
    bucket.held = bucket.held - freed
    charge.hold = charge.hold - freed
    charge.charged = charge.charged + more
end

-- Ends a charge with the actual units, or nil where nobody knows them: then all that was
-- reserved or held counts as consumed. `late`: the lease had ended before, nothing comes back.
local function settle_charge(bucket, charge, units, late)
    if charge.rule == AS_PRODUCED then
        charge_progress(bucket, charge, units or charge.charged + charge.hold)
        bucket.held = bucket.held - charge.hold
        charge.hold = 0
    elseif charge.rule == AT_START_ADJUST and units then
        if units < charge.charged and not late then
            give_back(bucket, charge.charged - units)
            charge.charged = units
        elseif units > charge.charged then
            bucket.level = bucket.level - (units - charge.charged)
            charge.charged = units
        end
    end
end

-- Undoes a charge whose request was never sent.
local function return_charge(bucket, charge)
    give_back(bucket, charge.reserved)
    bucket.held = bucket.held - charge.hold
    charge.hold = 0
end
