# shellcheck shell=sh
# Removal of one task's traces from a claim, for init (which begins afresh), the exit handler and the sweeper. Needs task-messages.sh
# and base-lock.sh. All of it works by path, and git is never run in what an agent has had.
# Input: that of base-lock.sh, WORKFLOW_UID.

# remove_folder PATH WHAT: links are unlinked, not followed.
remove_folder() {
    if rm -rf -- "$1" 2>/dev/null; then
        return 0
    fi
    removal_turns=0
    while :; do
        # -exec … \; and not +: a folder must be opened up before find goes down into it.
        find "$1" -type d ! -perm -700 -exec chmod u+rwx {} \; 2>/dev/null || true
        if rm -rf -- "$1" 2>"$SCRATCH/rm-error"; then
            return 0
        fi
        removal_turns=$((removal_turns + 1))
        if [ "$removal_turns" -gt 1000 ] || ! grep -q 'name too long' "$SCRATCH/rm-error"; then
            fail_storage "removal of the $2 $(quoted "$1")" "$SCRATCH/rm-error"
        fi
        raise_folders "$1" "$removal_turns"
    done
}

# raise_folders PATH TURN: no path above 4096 bytes can be named, and BusyBox's rm names all. So folders are moved up, as deep as they can be named.
raise_folders() {
    # shellcheck disable=SC2016 # the inner shell expands this, not ours
    find "$1" -type d -exec sh -c '
        top=$1
        turn=$2
        shift 2
        number=0
        for folder; do
            # Below one that has just been moved nothing is where it was.
            if [ "${#folder}" -gt $((${#top} + 1500)) ] && [ -d "$folder" ] && mv -- "$folder" "$top/raised.$turn.$number" 2>/dev/null; then
                number=$((number + 1))
            fi
        done' sh "$1" "$2" {} + 2>/dev/null || true
}

remove_tree() {
    remove_folder "$TREE" tree
}

remove_private_git_folder() {
    remove_folder "$PRIVATE" 'git folder'
}

# remove_admin_folders: under the base's lock. Ours are those that point to our tree, which only the owner of the
# task's record can have made, or that carry our UID (an add that was cut short has no gitdir yet).
# Only plain and short files are read: an agent may have put pipes, links and gigabytes there.
remove_admin_folders() {
    if [ ! -d "$BASE/worktrees" ] || [ -h "$BASE/worktrees" ]; then
        return 0
    fi
    find "$BASE/worktrees" -mindepth 1 -maxdepth 1 -type d ! -perm -700 -exec chmod u+rwx {} + 2>/dev/null || true
    # shellcheck disable=SC2016 # the inner shell expands this, not ours
    find "$BASE/worktrees" -mindepth 2 -maxdepth 2 -type f \( -name gitdir -o -name locked \) -size -8 -exec sh -c '
        tree=$1
        uid=$2
        shift 2
        for file; do
            [ -f "$file" ] || continue
            line=
            IFS= read -r line <"$file" || true
            case ${file##*/}:$line in
                "gitdir:$tree/.git" | "locked:$uid") ;;
                *) continue ;;
            esac
            chmod -R u+rwX "${file%/*}" 2>/dev/null || true
            rm -rf -- "${file%/*}"
        done' sh "$TREE" "$WORKFLOW_UID" {} + 2>"$SCRATCH/rm-error" || true
    [ ! -s "$SCRATCH/rm-error" ] || fail_storage "removal of the admin folder of $(quoted "$TREE")" "$SCRATCH/rm-error"
}

# set_aside PATH WHAT: renames it, at once whatever its size, to a name of no task beside it, which is left in $aside. Whatever has such
# a name has been given up: the sweeper removes it without asking.
set_aside() {
    aside=
    if [ ! -e "$1" ] && [ ! -h "$1" ]; then
        return 0
    fi
    aside=$(mktemp -u "${1%/*}/.removed.${1##*/}.${WORKFLOW_UID:-nobody}.XXXXXX")
    mv -- "$1" "$aside" 2>"$SCRATCH/rm-error" || fail_storage "removal of the $2 $(quoted "$1")" "$SCRATCH/rm-error"
}

# remove_set_aside PATH WHAT: all that this run has set aside of it, now and when a removal was cut short.
remove_set_aside() {
    for aside in "${1%/*}/.removed.${1##*/}.$WORKFLOW_UID."*; do
        if [ -e "$aside" ] || [ -h "$aside" ]; then
            remove_folder "$aside" "$2"
        fi
    done
}

# record_is_ours: the task id may have gone to another run, once somebody else has removed the task.
record_is_ours() {
    [ "$(first_line "$RECORD")" = "$(printf '%s\t%s\t%s' "$WORKFLOW_UID" "$1" "$2")" ]
}

# remove_task TASKID OWNER REPO [PROOF…]: idempotent; the record goes last, so that whatever stops this in the middle, the next one finds the
# rest. What has the task's name is renamed or removed under the base's lock and as long as the record is ours: two that remove the
# same task at once never hit the run that gets its id next. PROOF is a command that must succeed under that lock.
# Returns 1 if nothing was removed, as the record is not ours or there was no proof.
remove_task() {
    removal_task=$1
    removal_owner=$2
    removal_repo=$3
    shift 3
    use_repository "$removal_owner" "$removal_repo" "$removal_task"
    lock_base
    if ! record_is_ours "$removal_owner" "$removal_repo" || { [ "$#" -gt 0 ] && ! "$@"; }; then
        unlock_base
        return 1
    fi
    set_aside "$TREE" tree
    set_aside "$PRIVATE" 'git folder'
    if [ -d "$BASE" ]; then
        remove_admin_folders
        printf 'delete %s\n' "$TASK_REF" >"$SCRATCH/unpin"
        update_base_refs "$SCRATCH/unpin" ||
            fail "ref $(quoted "$TASK_REF") can't be deleted: $(clean "$(tail -n 2 "$SCRATCH/git-error")" 200). Remedy: delete it in $(quoted "$BASE"), then the record $(quoted "$RECORD")."
    fi
    unlock_base
    # Outside of the lock, as a big tree takes its time.
    remove_set_aside "$TREE" tree
    remove_set_aside "$PRIVATE" 'git folder'
    # A clone of ours that was cut short. Whoever holds the lock is at work there and looks after it.
    if [ -e "$STAGING" ] && (flock -n 8 && rm -rf -- "$STAGING") 8>>"$FETCH_LOCK"; then
        say "removed an unfinished clone of $removal_owner/$removal_repo"
    fi
    lock_base
    if record_is_ours "$removal_owner" "$removal_repo"; then
        rm -f -- "$RECORD"
    fi
    unlock_base
}
