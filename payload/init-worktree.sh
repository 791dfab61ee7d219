# shellcheck shell=sh
# init-worktree: gives the task its tree, at exactly the commit that the ref names now. Needs task-messages.sh, base-lock.sh, coderun-end.sh,
# commit-status.sh, superseding-run.sh, fence.sh, task-removal.sh, seed-copy.sh, base-repair.sh, private-git-folder.sh and repo-content.sh. May be
# started again for the same run (its pod was lost): it then begins afresh.
# Input: NAMESPACE KEY OWNER REPO REF TASK_ID GIT_SERVER WORKFLOW_NAME WORKFLOW_UID BASE_ROOT TREES_ROOT WORKSPACE_PATH_FILE COMMIT_FILE
#        LOCK_TIMEOUT_SECONDS LOW_SPEED_SECONDS FENCE_TIMEOUT_SECONDS CODERUN_RESOURCE CODERUN_VERSION POD_LABEL REPOS_FILE
#        GIT_FOLDER (private: the task gets a git folder of its own; shared: its agent gets the base) OBJECTS_ROOT;
#        optional SEED_ROOT (own claim: another base folder to copy from), CREDENTIALS_DIR (files username, password).

# scratch_git …: git with a repository of this pod's own whose objects are the base's. The base's config, hooks and attributes,
# which agents can write where they share it, have no say in what asks the server (with our password) and in what writes the tree.
scratch_git() {
    GIT_OBJECT_DIRECTORY=$BASE/objects git --git-dir="$SCRATCH/git" "$@"
}

prepare_scratch_git() {
    mkdir -p "$SCRATCH/git/refs" "$SCRATCH/git/objects"
    printf 'ref: refs/heads/none\n' >"$SCRATCH/git/HEAD"
    printf '[core]\n\trepositoryformatversion = 0\n\tbare = false\n' >"$SCRATCH/git/config"
}

# copy_base_refs: with the base's refs a fetch tells the server what is there already.
copy_base_refs() {
    rm -rf "$SCRATCH/git/refs"
    mkdir "$SCRATCH/git/refs"
    awk '{ print $1, $2 }' "$SCRATCH/base-refs" >"$SCRATCH/git/packed-refs"
}

has_commit() {
    [ -d "$BASE/objects" ] && scratch_git cat-file -e "$1^{commit}" 2>/dev/null
}

# network_environment: how the server is asked. The helper is bound to the server's own address, and it reads the password from
# a file: nothing of it is on a command line, in a URL or in a configuration file.
network_environment() {
    set_git http.lowSpeedLimit 1
    set_git http.lowSpeedTime "$LOW_SPEED_SECONDS"
    set_git protocol.allow never
    set_git protocol.http.allow always
    set_git protocol.https.allow always
    # Packs only: loose objects are written one by one, and a fetch that is cut short would leave a commit without its files.
    set_git fetch.unpackLimit 1
    set_git credential.helper ''
    if [ -n "${CREDENTIALS_DIR:-}" ] && [ -f "$CREDENTIALS_DIR/password" ]; then
        export CREDENTIALS_DIR
        # shellcheck disable=SC2016 # the helper's shell expands this, not ours
        set_git "credential.$GIT_SERVER.helper" '!answer() {
            [ "$1" = get ] || return 0
            name=x-access-token
            if [ -s "$CREDENTIALS_DIR/username" ]; then name=$(cat "$CREDENTIALS_DIR/username"); fi
            printf "username=%s\npassword=%s\n" "$name" "$(cat "$CREDENTIALS_DIR/password")"
        }; answer'
    fi
}

# explain_known_failure FILE: ends the step if git's words in FILE tell of something else than the base: the claim, the server, the ref, memory.
explain_known_failure() {
    tr '\r' '\n' <"$1" | grep -v -e '^remote: [A-Z][a-z]* objects' -e '^remote: Total' -e '^Receiving objects' -e '^Resolving deltas' -e '^Cloning into' |
        tail -n 6 >"$SCRATCH/git-said"
    explain_said=$(cat "$SCRATCH/git-said")
    explain_last=$(clean "$explain_said" 300)
    explain_name=$(quoted "$OWNER/$REPO")
    case $explain_said in
        *'No space left'* | *'Disk quota exceeded'* | *' to write'* | *"n't write"* | *'not write'* | *'write error'* | *'ermission denied'* | *'Read-only file system'* | *'Input/output error'* | *'Stale file handle'*)
            fail_storage "repository $explain_name" "$SCRATCH/git-said" ;;
        *'ut of memory'* | *'annot allocate memory'* | *'emporarily unavailable'* | *'died of signal'* | *'create thread'* | *'oo many open files'*)
            fail "git ran out of memory or was ended on $explain_name ($explain_last). Remedy: raise resources.gitMemoryLimit and submit again." ;;
        *'Operation too slow'* | *'timed out'* | *'Timeout was reached'* | *'stalled'*)
            fail "git server $(quoted "$GIT_SERVER") stalled on $explain_name: nothing came for $LOW_SPEED_SECONDS s ($explain_last). Remedy: check the server and submit again; git.lowSpeedSeconds is the patience." ;;
        *'not our ref'* | *'unadvertised object'* | *"couldn't find remote ref"*)
            refuse ref "commit $(quoted "$REF") is no longer on the server, or never was, in $explain_name" "give a branch, a tag, a pull request or a commit that the server has" ;;
        *'could not read Username'* | *'Authentication failed'* | *' 401'* | *' 403'*)
            refuse repo "$(quoted "$GIT_SERVER") refused access to $explain_name ($explain_last)" "check the spelling, that credentials for owner $(quoted "$OWNER") and the run's github-app are configured (coderun-workspaces:credentials), and that their token may read this repository" ;;
        *"repository '"*"not found"* | *' 404'*)
            refuse repo "$explain_name is not found on $(quoted "$GIT_SERVER") ($explain_last)" "check owner and repo, and that the credentials of github-app may read it" ;;
        *'Could not resolve host'* | *'Failed to connect'* | *"Couldn't connect"* | *'Connection refused'* | *'Connection reset'* | *'unable to access'* | *'early EOF'* | *'unexpected disconnect'*)
            fail "git server $(quoted "$GIT_SERVER") can't be reached for $explain_name: $explain_last. Remedy: check git.server and the network of the namespace, then submit again." ;;
    esac
}

# explain_git_failure FILE: ends the step with what git's words in FILE mean for the one who submitted the run.
explain_git_failure() {
    explain_known_failure "$1"
    fail "git failed on $explain_name: $explain_last. Remedy: see the step's log, then submit again."
}

# find_commit: what REF is on the server at this moment, in $COMMIT. The lock-free answer to "which commit": one small request.
find_commit() {
    if is_commit_id "$REF"; then
        COMMIT=$REF
        return 0
    fi
    # The overall limit covers what the low-speed limit doesn't: a connection that is never made.
    if ! timeout "$((LOW_SPEED_SECONDS * 2))" git --git-dir="$SCRATCH/none" ls-remote "$URL" "$REF" "$REF^{}" >"$SCRATCH/refs" 2>"$SCRATCH/git-error"; then
        [ -s "$SCRATCH/git-error" ] || echo 'ls-remote timed out' >"$SCRATCH/git-error"
        explain_git_failure "$SCRATCH/git-error"
    fi
    # ls-remote matches the ends of names: only the very name counts. The peeled entry of a tag is its commit.
    COMMIT=$(WANTED=$REF awk '
        $2 == ENVIRON["WANTED"] { plain = $1 }
        $2 == ENVIRON["WANTED"] "^{}" { peeled = $1 }
        END { print (peeled != "" ? peeled : plain) }' "$SCRATCH/refs")
    is_commit_id "$COMMIT" ||
        refuse ref "$(quoted "$REF") does not exist in $(quoted "$OWNER/$REPO") on $(quoted "$GIT_SERVER")" "give a branch, tag, pull request (refs/pull/N/head) or commit that is there"
}

lock_fetches() {
    lock_fetches_code=0
    take_lock 8 "$FETCH_LOCK" || lock_fetches_code=$?
    case $lock_fetches_code in
        0) ;;
        1) fail "lock of fetches for $(quoted "$OWNER/$REPO"): another task has been downloading for more than $LOCK_TIMEOUT_SECONDS s. Remedy: check the git server (it may stall), or raise git.lockTimeoutSeconds." ;;
        *) fail_storage "lock of the base of $(quoted "$OWNER/$REPO")" "$SCRATCH/lock-error" ;;
    esac
}

unlock_fetches() {
    drop_lock 8
}

# make_staging: under the lock of fetches. A whole base at the path of one under way.
make_staging() {
    rm -rf -- "$STAGING"
    if copy_seed; then
        say "base: copied from the shared claim"
    else
        rm -rf -- "$STAGING"
        git clone --bare --progress --template= "$URL" "$STAGING" 2>"$SCRATCH/git-error" || {
            rm -rf -- "$STAGING"
            explain_git_failure "$SCRATCH/git-error"
        }
        say "base: cloned from the server"
    fi
    {
        git --git-dir="$STAGING" config remote.origin.url "$URL" &&
            git --git-dir="$STAGING" config gc.auto 0 &&
            git --git-dir="$STAGING" config maintenance.auto false &&
            git --git-dir="$STAGING" config gc.worktreePruneExpire never &&
            git --git-dir="$STAGING" config core.hooksPath /dev/null
    } 2>"$SCRATCH/git-error" || {
        rm -rf -- "$STAGING"
        explain_git_failure "$SCRATCH/git-error"
    }
}

# make_base: under the lock of fetches. Nobody sees a base before it is whole: it is renamed into place.
make_base() {
    make_staging
    mv "$STAGING" "$BASE" 2>"$SCRATCH/git-error" || explain_git_failure "$SCRATCH/git-error"
}

# remove_rests_of_fetches: under the lock of fetches. What a fetch leaves that was killed or found no room: git never takes it away. Where agents write in the base
# too it may be theirs, and stays.
remove_rests_of_fetches() {
    if [ "$GIT_FOLDER" = private ]; then
        rm -f "$BASE"/objects/pack/tmp_* 2>/dev/null || true
        grep -l '^fetch-pack ' "$BASE"/objects/pack/*.keep 2>/dev/null | while IFS= read -r kept_pack; do rm -f "$kept_pack"; done
    fi
}

# fetch_commit [OPTION]: under the lock of fetches. Asks for the commit and not for the ref, which may have moved on.
# Returns 1 if the server no longer has it, 2 if git failed for a reason of its own.
# shellcheck disable=SC2120 # base-repair.sh gives an option
fetch_commit() {
    remove_rests_of_fetches
    read_base_refs || return 2
    copy_base_refs
    if scratch_git fetch --progress --no-tags --no-write-fetch-head --no-auto-maintenance "$@" "$URL" "+$COMMIT:$TASK_REF" 2>"$SCRATCH/git-error"; then
        return 0
    fi
    remove_rests_of_fetches
    if grep -q -e 'not our ref' -e 'unadvertised object' "$SCRATCH/git-error"; then
        return 1
    fi
    explain_known_failure "$SCRATCH/git-error"
    return 2
}

# bring_commit: base and commit are there afterwards. No lock and no request if they are already. Returns as fetch_commit.
bring_commit() {
    if has_commit "$COMMIT"; then
        say "commit $COMMIT: present"
        return 0
    fi
    lock_fetches
    if [ ! -e "$BASE" ]; then
        make_base
    fi
    bring_code=0
    # Asked again under the lock: another task may have brought it meanwhile.
    if ! has_commit "$COMMIT"; then
        # shellcheck disable=SC2119 # no option
        fetch_commit || bring_code=$?
        [ "$bring_code" -ne 0 ] || say "commit $COMMIT: fetched"
    fi
    unlock_fetches
    return "$bring_code"
}

# keep_branch: under the base's lock. A ref of the stack's own follows each branch that runs ask for, so that later fetches begin at recent commits and get what is
# new since then, and not since the day of the clone. Pull requests come and go, and are not kept.
keep_branch() {
    case $REF in
        refs/heads/*) keep_name=${REF#refs/heads/} ;;
        *) return 0 ;;
    esac
    printf 'update refs/fetched/heads/%s %s\n' "$keep_name" "$COMMIT" >"$SCRATCH/keep"
    if update_base_refs "$SCRATCH/keep"; then
        return 0
    fi
    # A branch a/b can't be beside a branch a: at the server the other one is gone.
    git --git-dir="$BASE" for-each-ref --format='%(refname)' refs/fetched/heads | NAME=refs/fetched/heads/$keep_name awk '
        index($0 "/", ENVIRON["NAME"] "/") == 1 || index(ENVIRON["NAME"] "/", $0 "/") == 1 { print "delete", $0 }' >"$SCRATCH/keep-rivals"
    if ! update_base_refs "$SCRATCH/keep-rivals" || ! update_base_refs "$SCRATCH/keep"; then
        say "base: branch $REF is not kept for later fetches: $(clean "$(tail -n 1 "$SCRATCH/git-error")" 200)"
    fi
}

# pin_commit: holds the commit for the life of the task. The second look: between our finding it and our having the lock, maintenance may have dropped it, as nobody
# held it, or moved the whole base away. Returns 1 if so, 2 if git failed for a reason of its own.
pin_commit() {
    pin_code=0
    lock_base
    if ! [ -d "$BASE/objects" ] || ! scratch_git cat-file -e "$COMMIT" 2>/dev/null; then
        unlock_base
        return 1
    fi
    # The id of an annotated tag, or of a file, can be asked for as well.
    COMMIT=$(scratch_git rev-parse --quiet --verify "$COMMIT^{commit}") ||
        refuse ref "$(quoted "$REF") does not name a commit in $(quoted "$OWNER/$REPO")" "give a branch, a tag of a commit, a pull request or a commit id"
    printf 'update %s %s\n' "$TASK_REF" "$COMMIT" >"$SCRATCH/pin"
    if update_base_refs "$SCRATCH/pin"; then
        keep_branch
        touch "$BASE_USED" 2>"$SCRATCH/lock-error" || fail_storage "base of $(quoted "$OWNER/$REPO")" "$SCRATCH/lock-error"
    else
        pin_code=2
    fi
    unlock_base
    return "$pin_code"
}

# hold_commit: finds the ref's commit, brings it and pins it. Returns 1 if git failed for a reason of its own.
hold_commit() {
    hold_tries=0
    while :; do
        find_commit
        hold_code=0
        bring_commit || hold_code=$?
        if [ "$hold_code" -eq 0 ]; then
            pin_commit || hold_code=$?
            [ "$hold_code" -ne 0 ] || return 0
            hold_said="commit $COMMIT is no longer in the base"
        else
            hold_said="ref $REF moved while it was fetched"
            # A ref that is forced elsewhere between the two requests. A commit id has nothing else to look at.
            if [ "$hold_code" -eq 1 ] && is_commit_id "$REF"; then
                explain_git_failure "$SCRATCH/git-error"
            fi
        fi
        [ "$hold_code" -eq 1 ] || return 1
        hold_tries=$((hold_tries + 1))
        [ "$hold_tries" -lt 5 ] || fail "$hold_said, for the ${hold_tries}th time. Remedy: submit again; if it stays so, look at what changes $(quoted "$BASE") or the ref."
        say "$hold_said: looking again"
    done
}

# claim_task: the task id is ours from here on, or somebody else's and the step ends. ln is the atomic part.
claim_task() {
    claim_line=$(printf '%s\t%s\t%s' "$WORKFLOW_UID" "$OWNER" "$REPO")
    {
        mkdir -p "$BASE_ROOT/.tasks" "$BASE_ROOT/.private" "$BASE_ROOT/$OWNER" "$TREES_ROOT" &&
            (printf '%s\n' "$claim_line" >"$BASE_ROOT/.tasks/.claim-$WORKFLOW_UID")
    } 2>"$SCRATCH/claim-error" || fail_storage "record of the task" "$SCRATCH/claim-error"
    ln "$BASE_ROOT/.tasks/.claim-$WORKFLOW_UID" "$RECORD" 2>"$SCRATCH/claim-error" || true
    rm -f "$BASE_ROOT/.tasks/.claim-$WORKFLOW_UID"
    [ -e "$RECORD" ] || fail_storage "record of the task" "$SCRATCH/claim-error"
    if [ "$(first_line "$RECORD")" != "$claim_line" ]; then
        refuse taskId "$(quoted "$TASK_ID") is in use by another run" "give another taskId, or wait until that run has ended"
    fi
    # A fresh record and yet a folder: it was left by something that keeps no records. Not ours to delete.
    if [ -s "$SCRATCH/claim-error" ] || { [ ! -e "$TREE" ] && [ ! -h "$TREE" ]; }; then
        return 0
    fi
    rm -f "$RECORD"
    refuse taskId "a folder of the name $(quoted "$TASK_ID") that belongs to no run is among the trees" "give another taskId, or wait for the next sweep, which removes it"
}

# add_tree: registers the empty tree in the base, under its lock: nobody reads a half-written admin folder. For GIT_FOLDER=shared.
add_tree() {
    add_code=0
    lock_base
    remove_admin_folders
    git --git-dir="$BASE" worktree add --quiet --detach --no-checkout --lock --reason "$WORKFLOW_UID" "$TREE" "$COMMIT" >"$SCRATCH/git-error" 2>&1 || add_code=1
    # Read before an agent can have written it.
    ADMIN=$(first_line "$TREE/.git")
    ADMIN=${ADMIN#gitdir: }
    unlock_base
    return "$add_code"
}

# fill_tree: the slow part, outside of any lock.
fill_tree() {
    GIT_INDEX_FILE=$ADMIN/index scratch_git --work-tree="$TREE" read-tree --reset -u "$COMMIT" 2>"$SCRATCH/git-error"
}

# give_tree: from the ref to the tree, afresh. Returns 1 if git failed for a reason that may be the base, with its words in $SCRATCH/git-error.
give_tree() {
    remove_tree
    look_at_base || return 1
    hold_commit || return 1
    read_base_refs || return 1
    check_content || return 1
    brought=$(now)
    if [ "$GIT_FOLDER" = private ]; then
        make_private_git_folder
    else
        add_tree || return 1
    fi
    fill_tree
}

for name in NAMESPACE KEY OWNER REPO REF TASK_ID GIT_SERVER WORKFLOW_NAME WORKFLOW_UID BASE_ROOT TREES_ROOT WORKSPACE_PATH_FILE COMMIT_FILE \
    LOCK_TIMEOUT_SECONDS LOW_SPEED_SECONDS FENCE_TIMEOUT_SECONDS CODERUN_RESOURCE CODERUN_VERSION POD_LABEL REPOS_FILE GIT_FOLDER OBJECTS_ROOT; do
    eval "[ -n \"\${$name:-}\" ]" || fail "init-worktree: the variable $name is empty. Remedy: deploy the stack again (pulumi up)."
done
case $GIT_FOLDER in
    private | shared) ;;
    *) fail "init-worktree: GIT_FOLDER is $(quoted "$GIT_FOLDER"), neither private nor shared. Remedy: deploy the stack again (pulumi up)." ;;
esac
# Checked by resolve already; checked again, as paths are made of them here.
is_owner "$OWNER" || refuse owner "$(quoted "$OWNER") is not an owner's name" "letters, digits and inner hyphens, at most 39"
is_repository "$REPO" || refuse repo "$(quoted "$REPO") is not a repository's name" "letters, digits and . _ -, at most 100"
is_task_id "$TASK_ID" || refuse taskId "$(quoted "$TASK_ID") can't name a folder" "letters, digits and inner . _ -, at most 63, no '..', not ending in .lock"
is_workflow_uid "$WORKFLOW_UID" || fail "init-worktree: $(quoted "$WORKFLOW_UID") is not a workflow's UID. Remedy: deploy the stack again (pulumi up)."
case $REF in
    refs/heads/?* | refs/tags/?* | refs/pull/?*) ;;
    *) is_commit_id "$REF" || refuse ref "$(quoted "$REF") is neither a commit id nor below refs/heads, refs/tags or refs/pull" "give one of these" ;;
esac
GIT_SERVER=${GIT_SERVER%/}
URL=$GIT_SERVER/$OWNER/$REPO.git

use_repository "$OWNER" "$REPO" "$TASK_ID"
superseding_run "$(($(now) + FENCE_TIMEOUT_SECONDS))"
[ -z "$newer" ] || fail "superseded: run $newer works on a newer head of this pull request; nothing was started. Remedy: none is needed."
git_environment
network_environment
prepare_scratch_git
claim_task

started=$(now)
fence
fenced=$(now)

until give_tree; do
    explain_known_failure "$SCRATCH/git-error"
    repair_base
done

{ printf '%s' "$TREE" >"$WORKSPACE_PATH_FILE" && printf '%s' "$COMMIT" >"$COMMIT_FILE"; } 2>"$SCRATCH/out-error" ||
    fail_storage "outputs of the step" "$SCRATCH/out-error"
commit_status "$OWNER" "$REPO" "$COMMIT" pending 'running: the agent is started'
say "tree $TREE at $COMMIT (fence $((fenced - started)) s, objects $((brought - fenced)) s, checkout $(($(now) - brought)) s)"
