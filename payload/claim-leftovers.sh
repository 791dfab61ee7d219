# shellcheck shell=sh
# shellcheck disable=SC2154,SC2034,SC2016,SC2030,SC2031 # set or used by the files that this one is joined with; awk's programs
# What gone runs left on the claim. Needs task-messages.sh, base-lock.sh, task-removal.sh, kept-work.sh and gone-runs.sh. Only by the holder of the sweep's lock.
# Input: that of the files above; uses removed, kept, failed and attempt of sweep.sh.
#
# A run makes the record of its task before all else and removes it after all else. So whatever was seen before its record was looked for, and
# has none, belongs to nobody. Nobody can take its task id while it is removed: a record of the sweeper's own is there meanwhile. One that a sweep
# which was cut short has left is taken over, as only one sweep is at work.
# Names of files are a stranger's: they may hold line breaks, begin with a hyphen or be links. Only sound names are ever put into a list.

SWEEPER_LINE=$(printf 'sweeper\tsweeper\tsweeper')

# is_there PATH: also as a link to nothing.
is_there() {
    [ -e "$1" ] || [ -h "$1" ]
}

# list_records: in $SCRATCH/records the sound ones, "task uid owner repo"; their UIDs in $record_runs. Markers of records under way in $marker_runs.
list_records() {
    : >"$SCRATCH/records"
    record_runs=' '
    marker_runs=
    stale_claims=' '
    for record_file in "$BASE_ROOT"/.tasks/.claim-*; do
        marker_run=${record_file##*/.claim-}
        is_there "$record_file" || continue
        if is_workflow_uid "$marker_run" && [ "$marker_run" != sweeper ]; then
            marker_runs="$marker_runs $marker_run"
        else
            attempt "marker $(quoted "$record_file")" remove_nobodys "$record_file" "no run has such a marker"
        fi
    done
    for record_file in "$BASE_ROOT"/.tasks/*; do
        is_there "$record_file" || continue
        record_task=${record_file##*/}
        if ! is_task_id "$record_task"; then
            attempt "record $(quoted "$record_file")" remove_nobodys "$record_file" "no run has a task of such a name"
            continue
        fi
        record_line=
        [ -h "$record_file" ] || record_line=$(first_line "$record_file")
        if [ "$record_line" = "$SWEEPER_LINE" ]; then
            stale_claims="$stale_claims$record_task "
            continue
        fi
        if ! parse_record "$record_line"; then
            # Removed by its task in this moment, or damaged.
            if is_there "$record_file"; then
                failed "the record $(quoted "$record_file"), which is damaged ($(quoted "$record_line")); nothing was deleted for it (look at it and delete it: the next sweep then removes what it stands for)"
            fi
            continue
        fi
        printf '%s %s %s %s\n' "$record_task" "$record_run" "$record_owner" "$record_repo" >>"$SCRATCH/records"
        record_runs="$record_runs$record_run "
    done
}

# remove_nobodys PATH WHY
remove_nobodys() (
    remove_folder "$1" entry
    removed orphans "$(quoted "$1"): $2"
)

# remove_dead_task TASKID RUN OWNER REPO
remove_dead_task() (
    WORKFLOW_UID=$2
    looked=
    # Keeping changes what the task has, so it wants a look of its own.
    if [ "$KEPT_MAX_BYTES" -gt 0 ] && look_again "$2" "$1"; then
        use_repository "$3" "$4" "$1"
        keep_work "$1" "$3/$4" "the sweep found: $looked"
        looked=
    fi
    if [ -n "$looked" ] || ! remove_task "$1" "$3" "$4" look_again "$2" "$1"; then
        [ -z "$looked" ] || kept "task $1 ($3/$4): $looked"
        exit 2
    fi
    removed tasks "task $1 ($3/$4): $looked ($2), no CodeRun and no pod of it lives"
)

remove_dead_tasks() {
    while read -r task_id task_run task_owner task_repo <&3; do
        if is_listed "$task_run" "$task_id"; then
            kept_as_expected
        elif is_past "$sweep_until"; then
            failed "task $task_id, as the time of the sweep is over (the next sweep goes on; else raise sweeper.deadlineSeconds)"
        else
            attempt "task $task_id" remove_dead_task "$task_id" "$task_run" "$task_owner" "$task_repo"
        fi
    done 3<"$SCRATCH/records"
    for marker_run in $marker_runs; do
        if ! is_listed "$marker_run" ''; then
            attempt "marker of run $marker_run" remove_marker "$marker_run"
        fi
    done
}

# remove_marker RUN
remove_marker() (
    look_again "$1" '' || exit 2
    remove_folder "$BASE_ROOT/.tasks/.claim-$1" marker
    removed orphans "marker of run $1: $looked, no CodeRun and no pod of it lives"
)

# has_record TASKID: of a run, now.
has_record() {
    case $stale_claims in *" $1 "*) return 1 ;; esac
    is_there "$BASE_ROOT/.tasks/$1"
}

# claim_orphan TASKID: from here on no run can have the id. Fails if one has it.
claim_orphan() {
    { printf '%s\n' "$SWEEPER_LINE" >"$BASE_ROOT/.tasks/.claim-sweeper"; } 2>"$SCRATCH/claim-error" || fail_storage "record of the sweeper" "$SCRATCH/claim-error"
    ln "$BASE_ROOT/.tasks/.claim-sweeper" "$BASE_ROOT/.tasks/$1" 2>/dev/null || true
    rm -f "$BASE_ROOT/.tasks/.claim-sweeper"
    [ "$(first_line "$BASE_ROOT/.tasks/$1")" = "$SWEEPER_LINE" ]
}

release_orphan() {
    rm -f -- "$BASE_ROOT/.tasks/$1"
}

# remove_orphan KIND TASKID RUN PATH [OWNER REPO]: an entry without a record. KIND is tree, git-folder, admin-folder or ref (PATH is then the ref).
# RUN, which may be empty, is what the entry itself says of its maker.
remove_orphan() (
    claim_orphan "$2" || exit 2
    if [ -n "${5:-}" ]; then
        use_repository "$5" "$6" "$2"
        lock_base
    fi
    # Its task has removed it in this moment.
    if [ "$1" != ref ] && ! is_there "$4"; then
        release_orphan "$2"
        exit 2
    fi
    if ! look_again "$3" "$2"; then
        release_orphan "$2"
        kept "$1 $(quoted "$4"), which has no record: $looked"
        exit 2
    fi
    case $1 in
        ref)
            printf 'delete %s\n' "$4" >"$SCRATCH/unpin"
            update_base_refs "$SCRATCH/unpin" ||
                fail "ref $(quoted "$4") of $(quoted "$BASE") can't be deleted: $(clean "$(tail -n 2 "$SCRATCH/git-error")" 200). Remedy: repair or remove the base when no run uses it."
            ;;
        admin-folder) remove_folder "$4" "$1" ;;
        *)
            set_aside "$4" "$1"
            [ -z "$aside" ] || remove_folder "$aside" "$1"
            ;;
    esac
    release_orphan "$2"
    removed orphans "$1 $(quoted "$4"): no run has a record of task $2, and no pod mounts it"
)

# sweep_folder FOLDER KIND: entries of the folder of trees, or of git folders.
sweep_folder() {
    for entry in "$1"/* "$1"/.removed.*; do
        is_there "$entry" || continue
        entry_name=${entry##*/}
        case $entry_name in
            .removed.*)
                # One that is removed at this moment by its owner is gone when it was reached.
                attempt "$2 $(quoted "$entry")" remove_nobodys "$entry" "its removal had begun"
                continue
                ;;
        esac
        if ! is_task_id "$entry_name"; then
            attempt "$2 $(quoted "$entry")" remove_nobodys "$entry" "no run has a task of such a name"
        elif has_record "$entry_name"; then
            continue
        elif is_listed '' "$entry_name"; then
            kept "$2 $entry_name, which has no record: $listed"
        else
            attempt "$2 $entry_name" remove_orphan "$2" "$entry_name" '' "$entry"
        fi
    done
}

# sweep_admin_folders: of $BASE. An entry belongs to the task of its name, and to the one whose tree it points to.
sweep_admin_folders() {
    for entry in "$BASE"/worktrees/* "$BASE"/worktrees/.[!.]* "$BASE"/worktrees/..?*; do
        is_there "$entry" || continue
        entry_name=${entry##*/}
        if is_task_id "$entry_name" && has_record "$entry_name"; then
            continue
        fi
        entry_line=$(short_line "$entry/gitdir")
        entry_task=${entry_line#"$TREES_ROOT/"}
        entry_task=${entry_task%/.git}
        if [ "$entry_line" != "$TREES_ROOT/$entry_task/.git" ] || ! is_task_id "$entry_task"; then
            entry_task=$entry_name
        fi
        entry_run=$(short_line "$entry/locked")
        is_workflow_uid "$entry_run" || entry_run=
        if is_task_id "$entry_task"; then
            if has_record "$entry_task"; then
                continue
            fi
        else
            entry_task=no-task
        fi
        if [ -n "$entry_run" ]; then
            case $record_runs in *" $entry_run "*) continue ;; esac
        fi
        if is_listed "$entry_run" "$entry_task"; then
            kept "admin folder $(quoted "$entry"), which has no record: $listed"
        else
            attempt "admin folder $(quoted "$entry")" remove_orphan admin-folder "$entry_task" "$entry_run" "$entry" "$base_owner" "$base_repo"
        fi
    done
}

# sweep_task_refs: of $BASE, which has some.
sweep_task_refs() {
    git --git-dir="$BASE" for-each-ref --format='%(refname)' refs/coderun >"$SCRATCH/task-refs" 2>"$SCRATCH/git-error" || {
        failed "the task refs of $(quoted "$BASE"): $(clean "$(tail -n 1 "$SCRATCH/git-error")" 160) (repair or remove it when no run uses it)"
        return 0
    }
    while IFS= read -r task_ref <&3; do
        ref_task=${task_ref#refs/coderun/}
        if ! is_task_id "$ref_task"; then
            ref_task=no-task
        elif has_record "$ref_task"; then
            continue
        fi
        if is_listed '' "$ref_task"; then
            kept "ref $task_ref, which has no record: $listed"
        else
            attempt "ref $task_ref" remove_orphan ref "$ref_task" '' "$task_ref" "$base_owner" "$base_repo"
        fi
    done 3<"$SCRATCH/task-refs"
}

# sweep_bases: admin folders and task refs without a record, and clones that nobody works on.
sweep_bases() {
    find "$BASE_ROOT" -mindepth 3 -maxdepth 3 -type f -name packed-refs -exec grep -l ' refs/coderun/' {} + >"$SCRATCH/packed" 2>/dev/null || true
    packed_bases=$(words '{ print $1 }' "$SCRATCH/packed")
    for entry in "$BASE_ROOT"/*/*.git "$BASE_ROOT"/*/*.staging "$BASE_ROOT"/*/*.broken.* "$BASE_ROOT"/*/*.evicted.*; do
        base_repo=${entry##*/}
        base_owner=${entry%/*}
        base_owner=${base_owner##*/}
        if [ ! -d "$entry" ] || [ -h "$entry" ] || ! is_owner "$base_owner"; then
            continue
        fi
        if is_past "$sweep_until"; then
            failed "bases from $(quoted "$entry") on, as the time of the sweep is over (the next sweep goes on; else raise sweeper.deadlineSeconds)"
            return 0
        fi
        case $base_repo in
            *.git) sweep_base "${base_repo%.git}" ;;
            *.staging) attempt "unfinished clone $(quoted "$entry")" remove_nobodys_clone "$base_owner" "${base_repo%.staging}" ;;
            *.evicted. | *.evicted.*[!0-9]* | *.broken. | *.broken.*[!0-9]*) ;;
            *.evicted.*) attempt "evicted base $(quoted "$entry")" remove_base "$entry" "its removal had begun" ;;
            *.broken.*) sweep_broken_base "$entry" "${base_repo%.broken.*}" "${base_repo##*.broken.}" ;;
        esac
    done
}

# sweep_base REPO
sweep_base() {
    is_repository "$1" || return 0
    base_repo=$1
    use_repository "$base_owner" "$base_repo" no-task
    if [ -d "$BASE/worktrees" ] && [ ! -h "$BASE/worktrees" ]; then
        sweep_admin_folders
    fi
    for entry in "$BASE"/refs/coderun/*; do break; done
    case $packed_bases in *" $BASE/packed-refs "*) sweep_task_refs ;; *) [ ! -e "$entry" ] || sweep_task_refs ;; esac
}

# remove_nobodys_clone OWNER REPO
remove_nobodys_clone() (
    is_repository "$2" || exit 2
    use_repository "$1" "$2" no-task
    exec 8>>"$FETCH_LOCK"
    flock -n 8 || exit 2
    remove_folder "$STAGING" 'unfinished clone'
    removed clones "unfinished clone of $1/$2: nobody holds its lock"
)

# remove_base PATH WHY
remove_base() (
    remove_folder "$1" base
    removed bases "$(quoted "$1"): $2"
)

# sweep_broken_base PATH REPO SECOND: runs that began before it was set aside may have their trees on it.
sweep_broken_base() {
    while read -r task_id _ task_owner task_repo <&3; do
        if [ "$task_owner/$task_repo" = "$base_owner/$2" ] && record_time=$(stat -c %Y "$BASE_ROOT/.tasks/$task_id" 2>/dev/null) &&
            [ "$record_time" -le "$3" ]; then
            kept "broken base $(quoted "$1"): task $task_id is older than it"
            return 0
        fi
    done 3<"$SCRATCH/records"
    attempt "broken base $(quoted "$1")" remove_base "$1" "no task is older than it"
}

# sweep_kept_work: what has expired, and attempts whose task is gone.
sweep_kept_work() {
    for entry in "$KEPT_ROOT"/* "$KEPT_ROOT"/.unfinished.*; do
        is_there "$entry" || continue
        entry_name=${entry##*/}
        case $entry_name in
            .unfinished.*)
                entry_task=${entry_name#.unfinished.}
                case $(first_line "$BASE_ROOT/.tasks/${entry_task%.*}") in
                    "${entry_task##*.}$TAB"*) ;;
                    *) attempt "kept work $(quoted "$entry_name")" remove_kept_work "$entry" "its task is gone" ;;
                esac
                ;;
            *)
                if entry_time=$(stat -c %Y "$entry" 2>/dev/null) && is_past "$((entry_time + KEPT_DAYS * 86400))"; then
                    attempt "kept work $(quoted "$entry_name")" remove_kept_work "$entry" "it is older than $KEPT_DAYS days"
                fi
                ;;
        esac
    done
}

# remove_kept_work PATH WHY
remove_kept_work() (
    remove_folder "$1" 'kept work'
    removed kept-work "kept work $(quoted "${1##*/}"): $2"
)

# sweep_claim: all of it, in an order in which nothing that has a record is looked at before its record.
sweep_claim() {
    remove_dead_tasks
    sweep_bases
    sweep_folder "$TREES_ROOT" tree
    sweep_folder "$BASE_ROOT/.private" git-folder
    for task_id in $stale_claims no-task; do
        if [ "$(first_line "$BASE_ROOT/.tasks/$task_id")" = "$SWEEPER_LINE" ]; then
            release_orphan "$task_id"
        fi
    done
    sweep_kept_work
}
