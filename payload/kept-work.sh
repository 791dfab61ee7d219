# shellcheck shell=sh
# What a run that did not succeed had not pushed is kept before its tree goes: commits as a bundle, changes as a patch. Needs task-messages.sh,
# base-lock.sh (git_environment and use_repository called) and, but for own claims, task-removal.sh. The agent's pods have ended by then.
# Input: KEPT_ROOT KEPT_MAX_BYTES (0: nothing is kept) KEPT_DAYS KEPT_MEMORY_KIB KEPT_TIMEOUT_SECONDS WORKFLOW_UID;
#        optional WORKFLOW_NAME, OWN_GIT (own claim, mounted read-only: its git folder; TREE is then on it as well).
#
# The tree and the task's git folder are a stranger's. Git is neither started in them nor does it read their configuration: it works in a
# folder of this pod's own, with a copy of their refs, an index of its own, and their objects as an object folder and nothing else.
# It runs within limits of time, memory and size. Whatever fails is said in about.txt and left out, the rest is kept, and the removal goes
# on. Only an attempt that was cut short, as its pod was lost, is repeated, and that once.

# kept_run PROGRAM…: within what is left of the time, and of $kept_blocks (512 bytes each) for any file that it writes.
kept_run() {
    kept_left=$((kept_until - $(now)))
    [ "$kept_left" -gt 0 ] || return 124
    (
        # RLIMIT_DATA: more would end the whole container, and the next attempt in the same way.
        # shellcheck disable=SC3045 # dash and BusyBox have it
        ulimit -d "$KEPT_MEMORY_KIB" 2>/dev/null || true
        ulimit -f "$kept_blocks" 2>/dev/null || true
        exec timeout -k 5 "$kept_left" "$@"
    )
}

kept_git() {
    kept_run env GIT_INDEX_FILE="$SCRATCH/kept-index" GIT_ALTERNATE_OBJECT_DIRECTORIES="$kept_objects" GIT_OPTIONAL_LOCKS=0 \
        git --git-dir="$SCRATCH/kept-git" --work-tree="$TREE" \
        -c core.quotePath=false -c core.attributesFile=/dev/null -c core.excludesFile=/dev/null -c core.preloadIndex=false \
        -c index.threads=1 -c pack.threads=1 -c pack.windowMemory=32m -c core.deltaBaseCacheLimit=32m "$@" 2>"$SCRATCH/kept-error"
}

# leave_out WHAT: said in about.txt and in the log.
leave_out() {
    clean "$1" 300 >>"$SCRATCH/kept-notes"
    echo >>"$SCRATCH/kept-notes"
}

kept_said() {
    if [ "$(now)" -ge "$kept_until" ]; then
        printf 'not within %s s' "$KEPT_TIMEOUT_SECONDS"
    else
        clean "$(tail -n 1 "$SCRATCH/kept-error")" 160
    fi
}

# short_line FILE: its first line, if it is a plain file; no more than 512 bytes of it are read.
short_line() {
    if [ -f "$1" ] && [ ! -h "$1" ]; then
        head -c 512 "$1" | head -n 1
    fi
}

# plain_refs FOLDER: "id name" of the branches, tags and task refs in a git folder, read as text. Files only, of sound names only.
# Cut into lines of some length, as awk takes minutes for one of megabytes.
plain_refs() {
    {
        if [ -f "$1/packed-refs" ] && [ ! -h "$1/packed-refs" ]; then
            head -c 16777216 "$1/packed-refs"
        fi
        # shellcheck disable=SC2016 # the inner shell expands this, not ours
        kept_run find "$1/refs" -type f -size -2 -exec sh -c '
            folder=$1
            shift
            for file; do
                id=
                IFS= read -r id <"$file" || true
                printf "%s %s\n" "$id" "${file#"$folder"/}"
            done' sh "$1" {} + 2>/dev/null
    } | tr -dc '\n -~' | fold -b -w 600 | awk '
        NF != 2 || length($1) != 40 || $1 ~ /[^0-9a-f]/ || $2 !~ /^refs\/(heads|tags|coderun)\/[!-~]+$/ { next }
        $2 ~ /[~^:?*\[\\]|\.\.|@\{|\/\/|\/\.|\.lock(\/|$)|\/$|\.$/ { next }
        { id[$2] = $1 }
        END { for (name in id) print id[name], name }'
}

# is_plain FOLDER: nothing but files and folders is in there, and it is one itself.
is_plain() {
    [ -d "$1" ] && [ ! -h "$1" ] && [ -z "$(kept_run find "$1" ! -type f ! -type d -print 2>&1 | head -c 1)" ] &&
        [ ! -e "$1/info/alternates" ] && [ ! -e "$1/info/http-alternates" ]
}

# open_up_task: what its git folder and tree need to be read by git at all. Under the base's lock: by the record the task is still ours. Fails if it isn't.
open_up_task() {
    record_is_ours "${kept_repo%%/*}" "${kept_repo#*/}" || return 1
    if [ -d "$PRIVATE" ] && [ ! -h "$PRIVATE" ]; then
        kept_run find "$PRIVATE" -type d ! -perm -700 -exec chmod u+rwx {} \; 2>/dev/null || true
        # A link could name what other tasks have, a pipe would block git.
        kept_run find "$PRIVATE" ! -type f ! -type d -exec rm -f -- {} + 2>/dev/null || true
        rm -f -- "$PRIVATE/objects/info/alternates" "$PRIVATE/objects/info/http-alternates" 2>/dev/null || true
    fi
    if [ -d "$TREE" ] && [ ! -h "$TREE" ]; then
        kept_run find "$TREE" -type d ! -perm -700 -exec chmod u+rwx {} \; 2>/dev/null || true
        kept_run find "$TREE" -type f ! -perm -400 -exec chmod u+r {} + 2>/dev/null || true
        kept_run find "$TREE" ! -type f ! -type d ! -type l -exec rm -f -- {} + 2>/dev/null || true
    fi
}

# find_task_git: where the task's refs and objects are: $kept_source, $kept_admin, $kept_objects, and whether other branches than HEAD's go with it.
find_task_git() {
    kept_objects=$BASE/objects
    kept_branches=yes
    if [ -n "${OWN_GIT:-}" ]; then
        kept_source=$OWN_GIT
    elif [ -d "$PRIVATE" ] && [ ! -h "$PRIVATE" ]; then
        kept_source=$PRIVATE
    else
        # Branches of a shared git folder stay in it.
        kept_source=$BASE
        kept_branches=no
    fi
    kept_admin=$kept_source/worktrees/$kept_task
    if [ -h "$kept_source/worktrees" ] || [ -h "$kept_admin" ] || [ ! -d "$kept_admin" ]; then
        return 1
    fi
    if [ "$kept_source" != "$BASE" ]; then
        if is_plain "$kept_source/objects"; then
            kept_objects=$kept_objects:$kept_source/objects
        else
            leave_out "commits: the object folder of the task holds links, or can't be read"
        fi
    fi
}

# copy_task_refs: the scratch git folder: the task's branches as refs/heads, what the base has as refs/base. Sets $kept_head (a commit, or
# empty), $kept_head_name and $kept_start (the commit that the task began at).
copy_task_refs() {
    rm -rf "$SCRATCH/kept-git" "$SCRATCH/kept-index"
    mkdir -p "$SCRATCH/kept-git/refs" "$SCRATCH/kept-git/objects"
    printf '[core]\n\trepositoryformatversion = 0\n\tbare = false\n' >"$SCRATCH/kept-git/config"
    printf 'ref: refs/heads/none\n' >"$SCRATCH/kept-git/HEAD"

    plain_refs "$BASE" >"$SCRATCH/kept-base-refs"
    : >"$SCRATCH/kept-task-refs"
    if [ "$kept_branches" = yes ]; then
        plain_refs "$kept_source" >"$SCRATCH/kept-task-refs"
    fi
    if [ -n "${OWN_GIT:-}" ]; then
        awk -v task="$TASK_REF" '$2 == task || $2 ~ /^refs\/tags\//' "$SCRATCH/kept-task-refs" >>"$SCRATCH/kept-base-refs"
    fi
    kept_start=$(awk -v task="$TASK_REF" '$2 == task { print $1 }' "$SCRATCH/kept-base-refs" | tail -n 1)

    kept_head=
    kept_head_name=
    kept_line=$(short_line "$kept_admin/HEAD")
    case $kept_line in
        'ref: refs/heads/'*)
            kept_head_name=${kept_line#ref: }
            kept_head=$(cat "$SCRATCH/kept-base-refs" "$SCRATCH/kept-task-refs" | WANTED=$kept_head_name awk '$2 == ENVIRON["WANTED"] { print $1 }' | tail -n 1)
            ;;
        *)
            if is_commit_id "$kept_line"; then
                kept_head=$kept_line
            fi
            ;;
    esac
    # In a shared git folder the branch that the task is on counts as the task's and not as the base's.
    if [ "$kept_branches" = no ] && [ -n "$kept_head_name" ]; then
        WANTED=$kept_head_name awk '$2 == ENVIRON["WANTED"]' "$SCRATCH/kept-base-refs" >"$SCRATCH/kept-task-refs"
        WANTED=$kept_head_name awk '$2 != ENVIRON["WANTED"]' "$SCRATCH/kept-base-refs" >"$SCRATCH/kept-others"
        mv "$SCRATCH/kept-others" "$SCRATCH/kept-base-refs"
    fi

    # Tips that the base has as well say nothing; of the rest, commits only.
    awk 'FILENAME == ARGV[1] { have[$1]; next } $2 ~ /^refs\/heads\// && !($1 in have)' "$SCRATCH/kept-base-refs" "$SCRATCH/kept-task-refs" >"$SCRATCH/kept-tips"
    { cut -d ' ' -f 1 "$SCRATCH/kept-tips" && printf '%s\n%s\n' "$kept_head" "$kept_start"; } | grep . | sort -u >"$SCRATCH/kept-ids" || true
    kept_git cat-file --batch-check='%(objectname) %(objecttype)' <"$SCRATCH/kept-ids" 2>/dev/null |
        awk '$2 == "commit" { print $1 }' >"$SCRATCH/kept-commits"
    grep -q -x -F -e "${kept_head:-none}" "$SCRATCH/kept-commits" || kept_head=
    grep -q -x -F -e "${kept_start:-none}" "$SCRATCH/kept-commits" || kept_start=
    {
        awk 'FILENAME == ARGV[1] { commit[$1]; next } $1 in commit' "$SCRATCH/kept-commits" "$SCRATCH/kept-tips"
        sed 's| refs/| refs/base/|' "$SCRATCH/kept-base-refs"
    } | sort -u -k 2,2 >"$SCRATCH/kept-git/packed-refs"
    if [ -n "$kept_head" ]; then
        printf '%s\n' "$kept_head" >"$SCRATCH/kept-git/HEAD"
    fi
}

# make_bundle REVISIONS…
make_bundle() {
    kept_blocks=$((KEPT_MAX_BYTES / 512))
    kept_git bundle create --quiet "$kept_new/work.bundle" "$@" --not --glob=refs/base >/dev/null
    make_bundle_code=$?
    kept_blocks=unlimited
    kept_bundle_head=$(kept_git bundle list-heads "$kept_new/work.bundle" HEAD)
    [ "$make_bundle_code" -eq 0 ] || rm -f -- "$kept_new/work.bundle" "$kept_new/work.bundle.lock"
    return "$make_bundle_code"
}

keep_commits() {
    kept_count=0
    kept_revisions=--branches
    [ -z "$kept_head" ] || kept_revisions='HEAD --branches'
    # shellcheck disable=SC2086 # revisions, one a word
    kept_count=$(kept_git rev-list --count $kept_revisions --not --glob=refs/base) || {
        kept_count=0
        leave_out "commits: they can't be read: $(kept_said)"
        return 0
    }
    [ "$kept_count" -gt 0 ] || return 0
    # shellcheck disable=SC2086 # revisions, one a word
    if make_bundle $kept_revisions; then
        return 0
    fi
    kept_why_not=$(kept_said)
    kept_count=0
    if [ -n "$kept_head" ] && make_bundle HEAD; then
        kept_count=$(kept_git rev-list --count HEAD --not --glob=refs/base)
        leave_out "commits of other branches than HEAD's: more than $KEPT_MAX_BYTES bytes, or unreadable ($kept_why_not)"
    else
        leave_out "commits: more than $KEPT_MAX_BYTES bytes, or unreadable ($kept_why_not)"
    fi
}

# list_untracked: files that git neither has nor ignores, without repositories of their own and without what is too big, in $SCRATCH/kept-list.
list_untracked() {
    kept_git ls-files --others --exclude-standard >"$SCRATCH/kept-untracked" || return 1
    # Names with special characters come in quotes here and below; the biggest ones do without a check of their size.
    (cd "$TREE" && kept_run find . -type f -size +$((KEPT_MAX_BYTES / 4))c 2>/dev/null) | sed 's|^\./||' >"$SCRATCH/kept-big"
    awk -v notes="$SCRATCH/kept-left" '
        FILENAME == ARGV[1] { big[$0]; next }
        /\/"?$/ { print "a repository inside the tree: " $0 >notes; next }
        $0 in big { print "a big file: " $0 >notes; next }
        { print }' "$SCRATCH/kept-big" "$SCRATCH/kept-untracked" >"$SCRATCH/kept-list"
    if [ -s "$SCRATCH/kept-left" ]; then
        head -n 20 "$SCRATCH/kept-left" | while IFS= read -r kept_line; do leave_out "$kept_line"; done
        [ "$(wc -l <"$SCRATCH/kept-left")" -le 20 ] || leave_out "and $(($(wc -l <"$SCRATCH/kept-left") - 20)) more of these"
    fi
}

# make_patch: of all that the scratch index knows.
make_patch() {
    kept_blocks=$((kept_room / 512))
    kept_git diff --binary --full-index --no-renames --no-ext-diff --no-textconv --no-color --ignore-submodules=all \
        "$kept_from" -- >"$kept_new/work.patch"
    make_patch_code=$?
    kept_blocks=unlimited
    if [ "$make_patch_code" -ne 0 ] || [ ! -s "$kept_new/work.patch" ]; then
        rm -f -- "$kept_new/work.patch"
    fi
    return "$make_patch_code"
}

keep_changes() {
    kept_from=${kept_head:-$kept_start}
    # Without an index the checkout had not ended: what is missing is nobody's change.
    if [ ! -f "$kept_admin/index" ] || [ ! -d "$TREE" ] || [ -h "$TREE" ] || [ -z "$kept_from" ]; then
        return 0
    fi
    kept_room=$KEPT_MAX_BYTES
    if [ -f "$kept_new/work.bundle" ]; then
        kept_room=$((KEPT_MAX_BYTES - $(wc -c <"$kept_new/work.bundle")))
    fi
    if ! kept_git read-tree "$kept_from"; then
        leave_out "changes: commit $kept_from can't be read: $(kept_said)"
        return 0
    fi
    if list_untracked && {
        [ ! -s "$SCRATCH/kept-list" ] ||
            kept_git --literal-pathspecs add --intent-to-add --pathspec-from-file="$SCRATCH/kept-list"
    } && make_patch; then
        return 0
    fi
    kept_why_not=$(kept_said)
    rm -f "$SCRATCH/kept-index"
    if kept_git read-tree "$kept_from" && make_patch; then
        leave_out "untracked files: more than $kept_room bytes with the rest, or unreadable ($kept_why_not)"
    else
        leave_out "changes: more than $kept_room bytes, or unreadable ($kept_why_not)"
    fi
}

write_about() {
    kept_folder_name=${kept_folder##*/}
    echo "task        $kept_task"
    echo "repository  $kept_repo"
    echo "workflow    ${WORKFLOW_NAME:-?} (UID $WORKFLOW_UID)"
    echo "kept        $(date -u +%Y-%m-%dT%H:%M:%SZ), as $kept_why"
    echo "until       $(date -u -d "@$(($(now) + KEPT_DAYS * 86400))" +%Y-%m-%dT%H:%M:%SZ)"
    echo "began at    ${kept_start:-?}"
    echo "HEAD        ${kept_head:-?}${kept_head_name:+ ($(clean "$kept_head_name" 200))}"
    if [ -f "$kept_new/work.bundle" ]; then
        echo "work.bundle $kept_count commits that the clone of the claim has not"
    fi
    if [ -f "$kept_new/work.patch" ]; then
        echo "work.patch  changes that were not committed, untracked files among them, upon ${kept_from}"
    fi
    while IFS= read -r kept_line; do
        echo "left out    $kept_line"
    done <"$SCRATCH/kept-notes"
    echo
    echo "To get it back, in a clone of $kept_repo, with this folder's files in $kept_folder_name:"
    if [ -n "$kept_start" ]; then
        echo "  git fetch origin $kept_start"
    fi
    if [ -f "$kept_new/work.bundle" ]; then
        echo "  git bundle list-heads $kept_folder_name/work.bundle"
        echo "  git fetch $kept_folder_name/work.bundle '+refs/heads/*:refs/kept/$kept_task/*'"
        if [ -n "$kept_bundle_head" ]; then
            echo "  git fetch $kept_folder_name/work.bundle HEAD"
        fi
    fi
    if [ -n "${kept_head:-$kept_start}" ]; then
        echo "  git switch --create kept-$kept_task ${kept_head:-$kept_start}"
    fi
    if [ -f "$kept_new/work.patch" ]; then
        echo "  git apply $kept_folder_name/work.patch"
    fi
}

# keep_work TASKID OWNER/REPO WHY: of the run WORKFLOW_UID, once. Never ends the step.
keep_work() {
    [ "$KEPT_MAX_BYTES" -gt 0 ] || return 0
    kept_task=$1
    kept_repo=$2
    kept_why=$3
    kept_folder=$KEPT_ROOT/$1.$WORKFLOW_UID
    kept_new=$KEPT_ROOT/.unfinished.$1.$WORKFLOW_UID
    kept_until=$(($(now) + KEPT_TIMEOUT_SECONDS))
    kept_blocks=unlimited
    kept_count=0
    if [ -e "$kept_folder" ]; then
        return 0
    fi
    : >"$SCRATCH/kept-notes"
    rm -f "$SCRATCH/kept-left"
    # An own claim is mounted read-only, and has one task.
    if [ -z "${OWN_GIT:-}" ]; then
        lock_base
        kept_is_ours=yes
        open_up_task || kept_is_ours=no
        unlock_base
        [ "$kept_is_ours" = yes ] || return 0
    fi
    find_task_git || return 0
    if [ -e "$kept_new/attempts" ] && [ "$(wc -l <"$kept_new/attempts")" -ge 2 ]; then
        say "kept work: nothing of task $1, as two attempts were cut short"
        rm -rf -- "$kept_new"
        return 0
    fi
    if ! { mkdir -p "$kept_new" && date +%s >>"$kept_new/attempts"; } 2>"$SCRATCH/kept-error"; then
        say "kept work: nothing of task $1, as the claim can't be written: $(kept_said)"
        return 0
    fi
    copy_task_refs
    keep_commits
    keep_changes
    if [ ! -f "$kept_new/work.bundle" ] && [ ! -f "$kept_new/work.patch" ] && [ ! -s "$SCRATCH/kept-notes" ]; then
        rm -rf -- "$kept_new"
        return 0
    fi
    kept_from=${kept_from:-}
    if { write_about >"$kept_new/about.txt" && rm -f -- "$kept_new/attempts" && mv -- "$kept_new" "$kept_folder"; } 2>"$SCRATCH/kept-error"; then
        say "kept work: task $1 in .kept/${kept_folder##*/} ($kept_count commits$([ ! -f "$kept_folder/work.patch" ] || echo ', changes'))"
    else
        say "kept work: nothing of task $1, as the claim can't be written: $(kept_said)"
        rm -rf -- "$kept_new"
    fi
    while IFS= read -r kept_line; do
        say "kept work: task $1, left out: $kept_line"
    done <"$SCRATCH/kept-notes"
}
