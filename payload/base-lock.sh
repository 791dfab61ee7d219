# shellcheck shell=sh
# The base of a repository on a claim: its paths, its two locks, and a git that trusts nothing found there. Needs task-messages.sh.
# Input: BASE_ROOT TREES_ROOT LOCK_TIMEOUT_SECONDS; optional LOCK_POLL_SECONDS, CLAIM_NAME (for messages), GIT_FOLDER
#        (shared; private: nothing but the stack's own steps ever writes in a base).
#
# Layout below BASE_ROOT:
#   .tasks/TASKID           who owns the task id: "UID<TAB>owner<TAB>repo"; made first, removed last
#   .tasks/.claim-UID       a record under way
#   .private/TASKID         the task's own git folder, which its agent sees at the path of the base (GIT_FOLDER=private)
#   .kept/TASKID.UID        work of a run that did not succeed (kept-work.sh)
#   .sweep.lock             held by the sweep that is at work
#   OWNER/REPO.git          the bare base; with GIT_FOLDER=shared its worktrees/ holds git's admin folders
#   OWNER/REPO.used         its time of change is when the base was last used
#   OWNER/REPO.staging      a clone under way (only by the holder of REPO.fetch.lock)
#   OWNER/REPO.broken.T     a base that a repair set aside at second T; runs of that time may still use it
#   OWNER/REPO.evicted.T    a base whose removal has begun
#   OWNER/REPO.lock         held for moments: admin folders and refs change only under it
#   OWNER/REPO.fetch.lock   held while the server is asked for objects
# Two locks, so that a server that stalls keeps nobody waiting who has all the objects already.
# Who needs both (maintenance) takes the fetch lock first.

# use_repository OWNER REPO TASKID: sets the paths that the functions below work on.
# shellcheck disable=SC2034 # used by the files that follow this one
use_repository() {
    BASE=$BASE_ROOT/$1/$2.git
    BASE_USED=$BASE_ROOT/$1/$2.used
    BASE_BROKEN=$BASE_ROOT/$1/$2.broken
    STAGING=$BASE_ROOT/$1/$2.staging
    BASE_LOCK=$BASE_ROOT/$1/$2.lock
    FETCH_LOCK=$BASE_ROOT/$1/$2.fetch.lock
    TREE=$TREES_ROOT/$3
    PRIVATE=$BASE_ROOT/.private/$3
    TASK_REF=refs/coderun/$3
    RECORD=$BASE_ROOT/.tasks/$3
}

# take_lock FD FILE: waits for at most LOCK_TIMEOUT_SECONDS. Returns 1 when the time is over, 2 when FILE can't be opened.
# BusyBox's flock has no -w, so this asks again and again.
take_lock() {
    { mkdir -p "${2%/*}" && (: >>"$2"); } 2>"$SCRATCH/lock-error" || return 2
    eval "exec $1>>\"\$2\""
    take_lock_until=$(($(now) + LOCK_TIMEOUT_SECONDS))
    until flock -n "$1"; do
        if is_past "$take_lock_until"; then
            eval "exec $1>&-"
            return 1
        fi
        sleep "${LOCK_POLL_SECONDS:-0.2}"
    done
}

# drop_lock FD: unlocks, also for children that still hold the descriptor.
drop_lock() {
    flock -u "$1"
    eval "exec $1>&-"
}

# lock_base: the short lock, or the end of the step.
lock_base() {
    lock_base_code=0
    take_lock 9 "$BASE_LOCK" || lock_base_code=$?
    case $lock_base_code in
        0) ;;
        1) fail "lock of the base $(quoted "$BASE"): another task has held it for more than $LOCK_TIMEOUT_SECONDS s. Remedy: look for a pod that hangs on the claim, or raise git.lockTimeoutSeconds." ;;
        *) fail_storage "lock of the base $(quoted "$BASE")" "$SCRATCH/lock-error" ;;
    esac
}

unlock_base() {
    drop_lock 9
}

# fail_storage WHAT FILE: FILE holds what a program said about a claim that can't be written.
fail_storage() {
    fail_storage_said=$(tail -n 3 "$2")
    case $fail_storage_said in
        *'No space left'* | *'Disk quota exceeded'*)
            fail "$1: the claim is full (${CLAIM_NAME:+$CLAIM_NAME: }$(clean "$fail_storage_said" 200)). Remedy: enlarge storage.shared.size (own claims: storage.own.size), or remove trees that are no longer needed." ;;
        # Neither git nor a shell's printf always says why; BusyBox's says nothing at all.
        '' | *' to write'* | *"n't write"* | *'not write'* | *'write error'* | *'I/O error'*)
            fail "$1: the claim is full, or fails to write (${CLAIM_NAME:+$CLAIM_NAME: }$(clean "$fail_storage_said" 200); $(df -Pk "$BASE_ROOT" 2>/dev/null | awk 'END { print $4 }') KiB free). Remedy: enlarge storage.shared.size (own claims: storage.own.size), or remove trees that are no longer needed; if there is room, check the volume." ;;
        *)
            fail "$1: the claim can't be written (${CLAIM_NAME:+$CLAIM_NAME: }$(clean "$fail_storage_said" 200)). Remedy: check its mount and that podSecurity.uid may write there." ;;
    esac
}

# set_git NAME VALUE: configuration of the highest rank, in the environment, so nothing is written anywhere.
set_git() {
    export "GIT_CONFIG_KEY_$GIT_CONFIG_COUNT=$1" "GIT_CONFIG_VALUE_$GIT_CONFIG_COUNT=$2"
    GIT_CONFIG_COUNT=$((GIT_CONFIG_COUNT + 1))
}

# git_environment: agents can write a base's config and hooks; nothing of them may run in the pods of the steps.
git_environment() {
    unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_CONFIG_PARAMETERS
    GIT_CONFIG_NOSYSTEM=1
    GIT_CONFIG_GLOBAL=/dev/null
    GIT_TERMINAL_PROMPT=0
    # Set and empty: no program is asked for a password, not even core.askPass of a base.
    GIT_ASKPASS=
    GIT_CONFIG_COUNT=0
    export GIT_CONFIG_NOSYSTEM GIT_CONFIG_GLOBAL GIT_TERMINAL_PROMPT GIT_ASKPASS GIT_CONFIG_COUNT
    set_git core.hooksPath /dev/null
    set_git core.fsmonitor false
    set_git core.alternateRefsCommand true
    set_git gc.auto 0
    set_git maintenance.auto false
    set_git advice.detachedHead false
}

TAB=$(printf '\t')

# parse_record LINE: what is in a record: $record_run, $record_owner, $record_repo. Fails unless all are sound: paths are made of them.
parse_record() {
    record_run=${1%%"$TAB"*}
    record_repo=${1##*"$TAB"}
    record_owner=${1#*"$TAB"}
    record_owner=${record_owner%%"$TAB"*}
    [ "$1" = "$record_run$TAB$record_owner$TAB$record_repo" ] && is_workflow_uid "$record_run" && is_owner "$record_owner" && is_repository "$record_repo"
}

# first_line FILE: empty for anything that isn't a plain file (a planted pipe would block for ever).
first_line() {
    first_line_text=
    if [ -f "$1" ]; then
        IFS= read -r first_line_text <"$1" || true
    fi
    printf '%s' "$first_line_text"
}

# update_base_refs FILE: under the base's lock; FILE has commands for `git update-ref --stdin`. On failure git's words are in $SCRATCH/git-error.
update_base_refs() {
    if git --git-dir="$BASE" update-ref --stdin <"$1" 2>"$SCRATCH/git-error"; then
        return 0
    fi
    grep -q "\.lock': File exists" "$SCRATCH/git-error" || return 1
    # A git that was killed leaves its lock files for ever. We hold the lock of all writers but agents', whose git holds its own for an instant.
    update_age='-mmin +1'
    [ "${GIT_FOLDER:-shared}" = shared ] || update_age=
    # shellcheck disable=SC2086 # a predicate of find, or none
    find "$BASE/refs" "$BASE"/*.lock -type f -name '*.lock' $update_age -exec rm -f {} + 2>/dev/null || true
    git --git-dir="$BASE" update-ref --stdin <"$1" 2>"$SCRATCH/git-error"
}
