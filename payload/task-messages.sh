# shellcheck shell=sh
# What every step shares: strict mode, one way to refuse, and the checks of names that become paths.
# Optional input: TERMINATION_LOG (where Kubernetes picks up a container's last words).
set -eu
# Byte-wise patterns and English messages of git, which explain_git_failure reads.
LC_ALL=C
export LC_ALL

SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/coderun.XXXXXX")
trap 'rm -rf "$SCRATCH"' EXIT

# clean TEXT [LENGTH]: TEXT as one line of plain ASCII, cut to LENGTH (80) characters.
clean() {
    printf '%s' "$1" | tr '\n\t\r' '   ' | tr -d '\000-\037\177' | tr -c '\040-\176' '?' | cut -c "1-${2:-80}"
}

# quoted VALUE: a value that somebody else wrote, made fit for a message.
quoted() {
    printf "'%s'" "$(clean "$1" 80)"
}

say() {
    printf '%s\n' "$1"
}

# fail MESSAGE: ends the step; the message is one line, for people, in the log and in the pod's status.
fail() {
    fail_line=$(clean "$1" 1200)
    printf '%s\n' "$fail_line" >&2
    { printf '%s\n' "$fail_line" >"${TERMINATION_LOG:-/dev/termination-log}"; } 2>/dev/null || true
    exit 1
}

# refuse PARAMETER WHAT-IS-WRONG REMEDY
refuse() {
    fail "parameter $1: $2. Remedy: $3."
}

now() {
    date +%s
}

# is_past SECONDS: has that moment (as `now` counts) come?
is_past() {
    [ "$(now)" -ge "$1" ]
}

# The checks are patterns over the whole value: a line-wise tool would accept a good line followed by a bad one.
is_owner() {
    case $1 in
        '' | -* | *[!A-Za-z0-9-]*) return 1 ;;
    esac
    [ "${#1}" -le 39 ]
}

is_repository() {
    case $1 in
        '' | . | .. | *[!A-Za-z0-9._-]*) return 1 ;;
    esac
    [ "${#1}" -le 100 ]
}

is_task_id() {
    case $1 in
        '' | [!A-Za-z0-9]* | *[!A-Za-z0-9] | *..* | *.lock | *[!A-Za-z0-9._-]*) return 1 ;;
    esac
    [ "${#1}" -le 63 ]
}

is_workflow_uid() {
    case $1 in
        '' | *[!A-Za-z0-9-]*) return 1 ;;
    esac
    [ "${#1}" -le 63 ]
}

is_commit_id() {
    case $1 in
        *[!0-9a-f]*) return 1 ;;
    esac
    [ "${#1}" -eq 40 ]
}
