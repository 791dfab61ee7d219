# shellcheck shell=sh
# The list of tasks of a batch, as it was submitted. Needs task-messages.sh and coderun-end.sh (ask).
# Input: NAMESPACE WORKFLOW_NAME.
#
# The list is read from the Workflow by the API server and not from a parameter that Argo pastes: Argo would evaluate braces in it, and an
# environment variable holds 128 KiB. The shell has no JSON, so awk reads it. A value is never decoded: it goes into the run's parameters as
# the JSON text that it is.

# list_tasks FILE: of the JSON in FILE a line each task, "NUMBER|FAULT|OWNER/REPO|PARAMETERS". FAULT is empty, or why this task can't run;
# PARAMETERS is a JSON list for spec.arguments.parameters of a run. Returns 1, with the reason on standard output, for what is no JSON list.
list_tasks() {
    awk '
    function stop(reason) {
        print reason " at character " (whole - length(rest) + 1)
        exit 1
    }

    # Leaves the next token in token, and returns its kind: a bracket, brace, colon or comma, s (text), n (number, true, false), 0 (null), "" (the end).
    function next_token(    plain) {
        if (match(rest, /^[ \t\r\n]+/)) rest = substr(rest, RLENGTH + 1)
        if (rest == "") return ""
        token = substr(rest, 1, 1)
        if (index("[]{}:,", token)) { rest = substr(rest, 2); return token }
        if (match(rest, /^"([^"\\]|\\.)*"/)) {
            token = substr(rest, 1, RLENGTH)
            plain = token
            gsub(/\\(["\\\/bfnrt]|u[0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f])/, "", plain)
            if (index(plain, "\\") || plain ~ "[\001-\037]") stop("a text in double quotes is not written as JSON wants it")
            rest = substr(rest, RLENGTH + 1)
            return "s"
        }
        if (match(rest, /^(true|false|null)/)) {
            token = substr(rest, 1, RLENGTH)
            rest = substr(rest, RLENGTH + 1)
            return token == "null" ? "0" : "n"
        }
        if (match(rest, /^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/)) {
            token = substr(rest, 1, RLENGTH)
            rest = substr(rest, RLENGTH + 1)
            return "n"
        }
        stop("there is something that is not JSON")
    }

    # Goes past a value whose first token was of this kind.
    function pass(kind, depth) {
        if (depth > 20) stop("it is nested too deeply")
        if (kind == "s" || kind == "n" || kind == "0") return
        if (kind != "[" && kind != "{") stop("a value is missing")
        pass_inside(kind, kind == "[" ? "]" : "}", depth)
    }

    function pass_inside(opening, closing, depth,    kind) {
        kind = next_token()
        if (kind == closing) return
        while (1) {
            if (opening == "{") {
                if (kind != "s") stop("a name in double quotes is missing")
                if (next_token() != ":") stop("a colon is missing")
                kind = next_token()
            }
            pass(kind, depth + 1)
            kind = next_token()
            if (kind == closing) return
            if (kind != ",") stop("a comma or a closing bracket is missing")
            kind = next_token()
        }
    }

    function shown(text) {
        gsub(/[^A-Za-z0-9._-]/, "?", text)
        return substr(text, 1, 40)
    }

    function note(reason) {
        if (fault == "") fault = reason
    }

    function task(    kind, name, field) {
        kind = next_token()
        if (kind == "}") return
        while (1) {
            if (kind != "s") stop("a name in double quotes is missing")
            name = substr(token, 2, length(token) - 2)
            if (next_token() != ":") stop("a colon is missing")
            kind = next_token()
            if (!(name in known)) note("field " shown(name) ": there is no such field")
            else if (name in given) note("field " name ": it is given twice")
            else if (kind == "[" || kind == "{") note("field " name ": it is a list or a mapping")
            else if (kind != "0") {
                given[name] = kind == "s" ? token : "\"" token "\""
                parameters = parameters (parameters == "" ? "" : ",") "{\"name\":\"" name "\",\"value\":" given[name] "}"
            }
            pass(kind, 1)
            kind = next_token()
            if (kind == "}") return
            if (kind != ",") stop("a comma or a closing brace is missing")
            kind = next_token()
        }
    }

    function plain_name(name,    text) {
        text = (name in given) ? substr(given[name], 2, length(given[name]) - 2) : "?"
        return shown(text)
    }

    { rest = rest (NR > 1 ? "\n" : "") $0 }

    END {
        for (i = split("owner repo ref taskId prNumber baseRef github-app usePVC", names, " "); i; i--) known[names[i]]
        whole = length(rest)
        if (next_token() != "[") stop("it is not a list")
        kind = next_token()
        if (kind != "]") while (1) {
            number++
            fault = parameters = ""
            split("", given)
            if (kind == "{") task()
            else { note("it is not a mapping of fields"); pass(kind, 1) }
            if (!("owner" in given)) note("field owner: it is missing")
            if (!("repo" in given)) note("field repo: it is missing")
            print number "|" fault "|" plain_name("owner") "/" plain_name("repo") "|[" parameters "]"
            kind = next_token()
            if (kind == "]") break
            if (kind != ",") stop("a comma or a closing bracket is missing")
            kind = next_token()
        }
        if (next_token() != "") stop("something follows the list")
    }' "$1"
}

# fetch_tasks UNTIL: the tasks in $SCRATCH/tasks, as list_tasks writes them; ends the step if they can't be read.
# shellcheck disable=SC2154 # answer is set by ask
fetch_tasks() {
    ask "$1" workflows.argoproj.io "$WORKFLOW_NAME" -o 'jsonpath={.spec.arguments.parameters[?(@.name=="tasks")].value}'
    [ "${#answer}" -le 100000 ] || refuse tasks "it is longer than 100000 characters" "spread the tasks over several batches"
    printf '%s\n' "$answer" >"$SCRATCH/tasks.json"
    list_tasks "$SCRATCH/tasks.json" >"$SCRATCH/tasks" ||
        refuse tasks "it is not a JSON list of tasks: $(tail -n 1 "$SCRATCH/tasks")" 'give for example [{"owner": "exampleorg", "repo": "sample", "ref": "main"}]'
}
