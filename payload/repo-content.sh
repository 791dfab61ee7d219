# shellcheck shell=sh
# What of a repository a checkout alone doesn't bring: submodules and files in LFS. The repo list says, repository by repository, whether a run is refused for
# them or goes on without. Needs task-messages.sh and scratch_git.
# Input: OWNER REPO REPOS_FILE (the stack's list; lines "content<TAB>owner<TAB>repo<TAB>submodules<TAB>lfs" for repositories that differ from the default).

# read_content_rules: in $submodules (refuse, empty) and $lfs (refuse, pointers).
read_content_rules() {
    [ -f "$REPOS_FILE" ] || fail "the stack's list of repositories is not there ($(quoted "$REPOS_FILE")). Remedy: deploy the stack again (pulumi up); ConfigMap coderun-repos."
    content_line=$(WANTED=$OWNER/$REPO awk -F '\t' '
        BEGIN { wanted = tolower(ENVIRON["WANTED"]); rules = "refuse|refuse" }
        $1 == "content" && tolower($2 "/" $3) == wanted { rules = $4 "|" $5 }
        END { print rules }' "$REPOS_FILE")
    IFS='|' read -r submodules lfs <<END
$content_line
END
}

# lfs_files: paths of $COMMIT whose attributes give them to LFS, a line each. Returns 1 with git's words in $SCRATCH/git-error.
lfs_files() {
    # Most repositories never name the filter, and the answer costs next to nothing.
    awk -F '\t' '$2 ~ /(^|\/)\.gitattributes$/ { split($1, part, " "); print part[3] }' "$SCRATCH/content-files" |
        scratch_git cat-file --batch >"$SCRATCH/content-attributes" 2>"$SCRATCH/git-error" || return 1
    grep -q 'filter=lfs' "$SCRATCH/content-attributes" || return 0
    rm -f "$SCRATCH/content-index"
    GIT_INDEX_FILE=$SCRATCH/content-index
    export GIT_INDEX_FILE
    {
        scratch_git read-tree "$COMMIT" &&
            scratch_git ls-files -z >"$SCRATCH/content-paths" &&
            scratch_git --work-tree="$SCRATCH" check-attr -z --stdin --cached filter <"$SCRATCH/content-paths" >"$SCRATCH/content-filters"
    } 2>"$SCRATCH/git-error" || {
        unset GIT_INDEX_FILE
        return 1
    }
    unset GIT_INDEX_FILE
    # Three fields a path: path, attribute, value.
    tr '\n\000' '?\n' <"$SCRATCH/content-filters" | awk 'NR % 3 == 1 { path = $0 } NR % 3 == 0 && $0 == "lfs" { print path }'
}

# check_content: refuses $COMMIT if it has what the rules don't allow, or says what the tree goes without.
# Returns 1 if the base can't be read, with git's words in $SCRATCH/git-error.
check_content() {
    read_content_rules
    scratch_git ls-tree -r "$COMMIT" >"$SCRATCH/content-files" 2>"$SCRATCH/git-error" || return 1
    content_found=$(awk -F '\t' '$1 ~ /^160000 / { if (!count++) first = $2 } END { if (count) print count "|" first }' "$SCRATCH/content-files")
    if [ -n "$content_found" ]; then
        content_words="${content_found%%|*} submodule(s), the first at $(quoted "${content_found#*|}")"
        [ "$submodules" = empty ] ||
            refuse repo "$(quoted "$OWNER/$REPO") at $COMMIT has $content_words, and their content would be missing in the tree" "set submodules: empty on this repository in coderun-workspaces:repos and run pulumi up, if empty folders will do"
        say "content: $content_words; their folders are left empty (repos[].submodules: empty)"
    fi
    lfs_files >"$SCRATCH/content-lfs" || return 1
    if [ -s "$SCRATCH/content-lfs" ]; then
        content_words="$(awk 'END { print NR }' "$SCRATCH/content-lfs") file(s) in LFS, the first $(quoted "$(head -n 1 "$SCRATCH/content-lfs")")"
        [ "$lfs" = pointers ] ||
            refuse repo "$(quoted "$OWNER/$REPO") at $COMMIT has $content_words, and only pointers to them would be in the tree" "set lfs: pointers on this repository in coderun-workspaces:repos and run pulumi up, if pointers will do"
        say "content: $content_words; the tree has pointers to them (repos[].lfs: pointers)"
    fi
}
