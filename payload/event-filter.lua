-- The sensor's filter: which pull-request events start a run. It is the one place that judges what a webhook says; what it lets pass goes into the
-- run's parameters as it is. Argo Events runs it for one event at a time, in a fresh Lua 5.1 each, and starts a run if it returns true.
--
-- An event that comes within the window after one of the same pull request that passed is dropped: the run that was started then waits for longer
-- than the window before it looks up the pull request's head, and finds what this event tells of.
--
-- Input by environment: REPOS_FILE (the stack's list of repositories), STATE_FILE (one line "owner/name#number<TAB>seconds" a window that is open),
-- WINDOW_SECONDS, FORKS ("run": events of forks start runs too). Every decision is a line on standard output.

local function shown(value)
    return (string.gsub(string.sub(tostring(value), 1, 80), "[^%w ._/#:@+-]", "?"))
end

-- Patterns are anchored at both ends; the characters are spelled out, for classes such as %w depend on the locale elsewhere.
local function is_text(value, pattern, longest)
    return type(value) == "string" and #value <= longest and string.match(value, pattern) ~= nil
end

local function is_number(value, largest)
    return type(value) == "number" and value >= 1 and value <= largest and value == math.floor(value)
end

local function field(value, ...)
    for _, name in ipairs({ ... }) do
        if type(value) ~= "table" then
            return nil
        end
        value = value[name]
    end
    return value
end

local function read_file(path)
    local file = path and io.open(path, "r")
    if not file then
        return nil
    end
    local text = file:read("*a")
    file:close()
    return text
end

local OWNER = "^[A-Za-z0-9][A-Za-z0-9_-]*$"
local REPOSITORY = "^[A-Za-z0-9._-]+$"
local BRANCH = "^[A-Za-z0-9._/+@#=,-]+$"
local COMMIT = "^[0-9a-f]+$"
local DELIVERY = "^[0-9a-fA-F]+%-[0-9a-fA-F]+%-[0-9a-fA-F]+%-[0-9a-fA-F]+%-[0-9a-fA-F]+$"
local ACTIONS = { opened = true, synchronize = true, reopened = true }

-- The first thing that keeps an event from starting a run, or nil. Everything that the run's parameters are made of is looked at here.
local function fault(body)
    if type(body) ~= "table" then
        return "it has no body"
    end
    if body["X-GitHub-Event"] ~= "pull_request" then
        return "it is a " .. shown(body["X-GitHub-Event"]) .. ", not a pull_request"
    end
    if type(body.action) ~= "string" or not ACTIONS[body.action] then
        return "its action is not opened, synchronize or reopened"
    end
    if not is_text(body["X-GitHub-Delivery"], DELIVERY, 36) then
        return "its delivery id is not a UUID"
    end
    local owner, name = field(body, "repository", "owner", "login"), field(body, "repository", "name")
    if not is_text(owner, OWNER, 39) then
        return "repository.owner.login is not an owner's name"
    end
    if not is_text(name, REPOSITORY, 100) then
        return "repository.name is not a repository's name"
    end
    if not is_number(body.number, 9999999999) then
        return "number is not a pull request's number"
    end
    if not is_text(field(body, "pull_request", "head", "sha"), COMMIT, 40) or #body.pull_request.head.sha ~= 40 then
        return "pull_request.head.sha is not a commit"
    end
    local repos = read_file(os.getenv("REPOS_FILE"))
    if not repos then
        return "the stack's list of repositories can't be read (ConfigMap coderun-repos)"
    end
    local entry = string.lower("\nrepo\t" .. owner .. "\t" .. name .. "\t")
    if not string.find("\n" .. string.lower(repos), entry, 1, true) then
        return "the repository is not in the stack's list (coderun-workspaces:repos)"
    end
    local from = field(body, "pull_request", "head", "repo", "full_name")
    if os.getenv("FORKS") ~= "run" and (type(from) ~= "string" or string.lower(from) ~= string.lower(owner .. "/" .. name)) then
        return "it comes from a fork (coderun-workspaces:events.forks)"
    end
    if not is_text(field(body, "pull_request", "base", "ref"), BRANCH, 240) then
        return "the name of its base branch has characters that are not allowed, or more than 240"
    end
    return nil
end

-- Opens the window of a pull request, or says how many seconds ago it was opened. Windows that have ended are left out, so the file stays as small as
-- the number of pull requests that a window sees. A file that can't be read or written means a run too many, never a push that is lost.
local function open_window(key)
    local now, window = os.time(), tonumber(os.getenv("WINDOW_SECONDS"))
    local path = os.getenv("STATE_FILE")
    local lines = {}
    for other, opened in string.gmatch(read_file(path) or "", "([^\t\n]+)\t(%d+)\n") do
        local age = now - tonumber(opened)
        -- A window that seems to lie ahead is one from before the clock was set back.
        if age >= 0 and age <= window then
            if other == key then
                return age
            end
            lines[#lines + 1] = other .. "\t" .. opened .. "\n"
        end
    end
    lines[#lines + 1] = key .. "\t" .. string.format("%d", now) .. "\n"
    local file = io.open(path .. ".new", "w")
    if file then
        file:write(table.concat(lines))
        file:close()
        os.rename(path .. ".new", path)
    end
    return nil
end

local function decide(body)
    local reason = fault(body)
    if reason then
        return false, reason
    end
    local key = string.lower(body.repository.owner.login .. "/" .. body.repository.name) .. "#" .. string.format("%d", body.number)
    local worked, age = pcall(open_window, key)
    if not worked then
        return true, "a run is started; windows can't be kept: " .. shown(age)
    end
    if age then
        return false, "the run that was started for this pull request " .. age .. " s ago looks up its head later than this"
    end
    return true, "a run is started"
end

local body = type(event) == "table" and event.body or nil
local worked, passes, reason = pcall(decide, body)
if not worked then
    passes, reason = false, "it can't be read: " .. shown(passes)
end
local number = field(body, "number")
print(
    string.format(
        "event-filter: %s delivery=%s repo=%s/%s pr=%s action=%s: %s",
        passes and "passed" or "dropped",
        shown(field(body, "X-GitHub-Delivery")),
        shown(field(body, "repository", "owner", "login")),
        shown(field(body, "repository", "name")),
        type(number) == "number" and string.format("%.0f", number) or shown(number),
        shown(field(body, "action")),
        reason
    )
)
return passes
