# shellcheck shell=sh
# The task's own git folder, for GIT_FOLDER=private: its agent sees it at the path of the base, with the base's objects read-only beneath. Config, hooks, refs
# and new objects of the task are in it and die with it. Needs task-messages.sh and base-lock.sh.
# Input: REF TASK_ID WORKFLOW_UID OBJECTS_ROOT (below it the agent's pod sees the objects of the base, at OWNER/REPO) OWNER REPO.

# private_refs: the refs that the task begins with, as lines "ID name" from those of the base on standard input: branches and tags, and nothing of other tasks.
# The branch that the run asked for is where the server has it, others where they were when last fetched. A branch a can't be beside a/b: the fresher one is kept.
private_refs() {
    REF=$REF COMMIT=$COMMIT awk '
        function take(id, name,    parts, count, i, parent) {
            if (name in taken || name in folder) return
            count = split(name, parts, "/")
            parent = parts[1]
            for (i = 2; i < count; i++) {
                parent = parent "/" parts[i]
                if (parent in taken) return
            }
            taken[name] = id
            parent = parts[1]
            for (i = 2; i < count; i++) {
                parent = parent "/" parts[i]
                folder[parent] = 1
            }
        }
        BEGIN { if (ENVIRON["REF"] ~ /^refs\/heads\//) take(ENVIRON["COMMIT"], ENVIRON["REF"]) }
        $2 ~ /^refs\/fetched\/heads\// { take($1, "refs/heads/" substr($2, length("refs/fetched/heads/") + 1)) }
        $2 ~ /^refs\/(heads|tags)\// { id[++found] = $1; name[found] = $2 }
        END {
            for (i = 1; i <= found; i++) take(id[i], name[i])
            for (ref in taken) print taken[ref], ref
        }'
}

# make_private_git_folder: anew, whatever a lost pod has left there. Needs $COMMIT, and the base's refs in $SCRATCH/base-refs.
# Nothing of it is in the base: no admin folder, no config, no branch.
make_private_git_folder() {
    remove_private_git_folder
    ADMIN=$PRIVATE/worktrees/$TASK_ID
    {
        private_head=$(git --git-dir="$BASE" symbolic-ref HEAD 2>/dev/null || printf 'refs/heads/main') &&
            mkdir -p "$ADMIN" "$PRIVATE/refs" "$PRIVATE/objects/info" "$TREE" &&
            printf 'ref: %s\n' "$private_head" >"$PRIVATE/HEAD" &&
            printf '[core]\n\trepositoryformatversion = 0\n\tbare = true\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n' >"$PRIVATE/config" &&
            printf '[remote "origin"]\n\turl = %s\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n' "$URL" >>"$PRIVATE/config" &&
            printf '%s\n' "$OBJECTS_ROOT/$OWNER/$REPO" >"$PRIVATE/objects/info/alternates" &&
            printf '# pack-refs with: sorted \n' >"$PRIVATE/packed-refs" &&
            private_refs <"$SCRATCH/base-refs" | sort -k 2,2 >>"$PRIVATE/packed-refs" &&
            printf '%s\n' "$COMMIT" >"$ADMIN/HEAD" &&
            printf '../..\n' >"$ADMIN/commondir" &&
            printf '%s\n' "$TREE/.git" >"$ADMIN/gitdir" &&
            printf '%s\n' "$WORKFLOW_UID" >"$ADMIN/locked" &&
            printf 'gitdir: %s\n' "$BASE/worktrees/$TASK_ID" >"$TREE/.git"
    } 2>"$SCRATCH/private-error" || fail_storage "git folder of the task" "$SCRATCH/private-error"
}
