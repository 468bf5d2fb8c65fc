-- Runs scripts as Redis does: KEYS, ARGV and the plain dialect, nothing else. Returns
-- {load, run, ask, take_pushed, take_work, redis}.

local commands, cjson, struct = require("commands"), require("cjson"), require("struct")
local redis = {
    call = commands.call,
    pcall = function(...)
        local done, reply = pcall(commands.call, ...)
        if done then
            return reply
        end
        return { err = reply }
    end,
    error_reply = function(text)
        return { err = text }
    end,
    status_reply = function(text)
        return { ok = text }
    end,
    log = function() end,
}
local DIALECT = {
    redis = redis, cjson = cjson, struct = struct, string = string, table = table, math = math, assert = assert,
    error = error, ipairs = ipairs, next = next, pairs = pairs, pcall = pcall, select = select, tonumber = tonumber,
    tostring = tostring, type = type, unpack = unpack,
}
local STRICT = {
    __index = function(_, name)
        error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
    end,
    __newindex = function(_, name)
        error("Script attempted to create global variable '" .. tostring(name) .. "'", 2)
    end,
}

-- A compiled script and its globals.
local function load(source, name)
    local chunk, problem = loadstring(source, "@" .. name)
    if not chunk then
        error("ERR Error compiling script: " .. problem, 0)
    end
    local globals = { KEYS = false, ARGV = false }
    for word, value in pairs(DIALECT) do
        globals[word] = value
    end
    setfenv(chunk, setmetatable(globals, STRICT))
    return { chunk = chunk, globals = globals }
end

-- Runs a script at a time, with so many keys among its arguments.
local function run(script, us, count, ...)
    local keys, arguments, all = {}, {}, { ... }
    for i = 1, #all do
        if i <= count then
            keys[i] = all[i]
        else
            arguments[i - count] = all[i]
        end
    end
    commands.begin(us)
    script.globals.KEYS, script.globals.ARGV = keys, arguments
    return script.chunk()
end

local function ask(us, ...)
    commands.begin(us)
    return commands.ask(...)
end

-- The lists that scripts pushed to since the last call.
local function take_pushed()
    local list = commands.pushed
    if #list == 0 then
        return nil
    end
    local text = table.concat(list, "\n")
    for i = #list, 1, -1 do
        list[i] = nil
    end
    return text
end

return { load = load, run = run, ask = ask, take_pushed = take_pushed, take_work = commands.take_work, redis = redis }
