# shellcheck shell=sh
# resolve: checks every parameter of a run before anything is made, looks the repository up in the stack's list, picks the semaphore key,
# and waits while the repository is paused. Needs task-messages.sh and commit-status.sh. It has no rights in the cluster.
# Input: OWNER_B64 REPO_B64 REF_B64 BASE_REF_B64 TASK_ID_B64 PR_NUMBER_B64 GITHUB_APP_B64 USE_PVC_B64 (as submitted, anything may be in them)
#        WORKFLOW_NAME DEFAULT_GITHUB_APP REPOS_FILE OUTPUT_DIR PAUSE_POLL_SECONDS PAUSE_TIMEOUT_SECONDS; optional HEAD_COMMIT_B64 (of an event's run)
#        and the input of commit-status.sh.
# Output, a file each: owner repo ref task-id key mode credentials-secret github-app.

# full_ref PARAMETER VALUE: the full name, or the commit id in lower case, in $ref_name; refuses what git would not take.
full_ref() {
    ref_name=$2
    ref_rules="a branch (main or refs/heads/main), refs/tags/NAME, refs/pull/N/head, refs/pull/N/merge or a commit id of 40 hex digits; letters, digits and . _ / + @ # = , - only"
    case $ref_name in
        '') refuse "$1" "it is empty" "give $ref_rules" ;;
        *[!A-Za-z0-9._/+@#=,-]*) refuse "$1" "$(quoted "$2") has characters that are not allowed" "give $ref_rules" ;;
    esac
    [ "${#ref_name}" -le 250 ] || refuse "$1" "$(quoted "$2") is longer than 250 characters" "give a shorter name"
    case $ref_name in
        *[!0-9A-Fa-f]*) ;;
        *)
            if [ "${#ref_name}" -eq 40 ]; then
                ref_name=$(printf '%s' "$ref_name" | tr 'A-F' 'a-f')
                return 0
            fi
            ;;
    esac
    case $ref_name in
        refs/heads/?* | refs/tags/?*) ;;
        refs/pull/*/head | refs/pull/*/merge)
            ref_number=${ref_name#refs/pull/}
            ref_number=${ref_number%/*}
            case $ref_number in
                '' | *[!0-9]*) refuse "$1" "$(quoted "$2") has no pull request's number" "give $ref_rules" ;;
            esac
            ;;
        refs/*) refuse "$1" "$(quoted "$2") is neither below refs/heads nor refs/tags, nor a pull request" "give $ref_rules" ;;
        *) ref_name=refs/heads/$ref_name ;;
    esac
    case $ref_name in
        refs/heads/-* | refs/tags/-*) refuse "$1" "$(quoted "$2") begins with a hyphen" "give $ref_rules" ;;
    esac
    git check-ref-format "$ref_name" || refuse "$1" "$(quoted "$2") is not a name that git takes" "give $ref_rules"
}

# look_up: the repository's line of REPOS_FILE, in $repo_status (active, paused, unknown-owner, unknown-repo), $repo_owner, $repo_name, $key.
# A branch that is named counts before all patterns (* is any text without a slash, ** any text); of patterns the first that covers it.
look_up() {
    [ -f "$REPOS_FILE" ] || fail "the stack's list of repositories is not there ($(quoted "$REPOS_FILE")). Remedy: deploy the stack again (pulumi up); ConfigMap coderun-repos."
    look_up_line=$(WANTED_OWNER=$OWNER WANTED_REPO=$REPO WANTED_BRANCH=$branch awk -F '\t' '
        function covers(pattern, text,    expression, i, c) {
            for (i = 1; i <= length(pattern); i++) {
                c = substr(pattern, i, 1)
                if (c != "*") expression = expression (c == "." || c == "+" ? "[" c "]" : c)
                else if (substr(pattern, i + 1, 1) != "*") expression = expression "[^/]*"
                else { expression = expression ".*"; i++ }
            }
            return text ~ ("^" expression "$")
        }
        BEGIN {
            owner = tolower(ENVIRON["WANTED_OWNER"]); repo = tolower(ENVIRON["WANTED_REPO"]); branch = ENVIRON["WANTED_BRANCH"]
            status = "unknown-owner"
        }
        $1 != "repo" || tolower($2) != owner { next }
        status == "unknown-owner" { status = "unknown-repo" }
        tolower($3) == repo {
            status = $4; spelt_owner = $2; spelt_repo = $3; key = named = covering = ""
            for (i = 6; i <= NF && branch != ""; i++) {
                split_at = index($i, "="); name = substr($i, split_at + 1)
                if (name == branch) named = substr($i, 1, split_at - 1)
                else if (covering == "" && index(name, "*") && covers(name, branch)) covering = substr($i, 1, split_at - 1)
            }
            key = named != "" ? named : covering != "" ? covering : $5
        }
        END { print status "|" spelt_owner "|" spelt_repo "|" key }' "$REPOS_FILE")
    IFS='|' read -r repo_status repo_owner repo_name key <<END
$look_up_line
END
    case $repo_status in
        unknown-owner) refuse owner "no repository of $(quoted "$OWNER") is in the stack's list" "add it to coderun-workspaces:repos and run pulumi up, or correct owner" ;;
        unknown-repo) refuse repo "$(quoted "$OWNER/$REPO") is not in the stack's list" "add it to coderun-workspaces:repos and run pulumi up, or correct repo" ;;
        active | paused) ;;
        *) fail "the stack's list of repositories is damaged at $(quoted "$OWNER/$REPO"). Remedy: deploy the stack again (pulumi up); ConfigMap coderun-repos." ;;
    esac
    [ -n "$key" ] || fail "the stack's list of repositories has no semaphore key for $(quoted "$OWNER/$REPO"). Remedy: deploy the stack again (pulumi up); ConfigMap coderun-repos."
}

# choose_credentials: $app and $secret. An owner without any credentials is read without a password.
choose_credentials() {
    choose_line=$(WANTED_OWNER=$OWNER WANTED_APP=$GITHUB_APP DEFAULT_APP=$DEFAULT_GITHUB_APP awk -F '\t' '
        $1 == "credential" && tolower($2) == tolower(ENVIRON["WANTED_OWNER"]) {
            count++; secret[$3] = $4; last = $3; names = names (names == "" ? "" : ", ") $3
        }
        END {
            wanted = ENVIRON["WANTED_APP"]
            if (wanted == "") wanted = ENVIRON["DEFAULT_APP"]
            # Nobody asked for one, and the default is not among them: the only one there is will do.
            if (ENVIRON["WANTED_APP"] == "" && !(wanted in secret) && count == 1) wanted = last
            if (count == 0) print "none|" wanted "|"
            else if (wanted in secret) print "found|" wanted "|" secret[wanted]
            else print "missing|" names "|"
        }' "$REPOS_FILE")
    IFS='|' read -r choose_status app secret <<END
$choose_line
END
    case $choose_status in
        missing) refuse github-app "$(quoted "${GITHUB_APP:-$DEFAULT_GITHUB_APP}") has no credentials for owner $(quoted "$OWNER") (there are: $(clean "$app" 200))" "give one of these, or add it to coderun-workspaces:credentials and run pulumi up" ;;
        none) secret=coderun-no-credentials ;;
    esac
}

output() {
    printf '%s' "$2" >"$OUTPUT_DIR/$1"
}

# decode PARAMETER VALUE: leaves it in $submitted. In base64, so that nobody reads it before it is checked here: Argo evaluates the braces in a value that it
# pastes (argo-workflows #7828), and the kubelet expands a $(NAME) in it.
decode() {
    # The x keeps line breaks at the end, which the shell would drop and nobody would see.
    submitted=$(printf '%s' "$2" | base64 -d && printf x) ||
        fail "resolve: the parameter $1 did not come in base64. Remedy: deploy the stack again (pulumi up)."
    submitted=${submitted%x}
}

decode owner "${OWNER_B64:-}" && OWNER=$submitted
decode repo "${REPO_B64:-}" && REPO=$submitted
decode ref "${REF_B64:-}" && REF=$submitted
decode baseRef "${BASE_REF_B64:-}" && BASE_REF=$submitted
decode taskId "${TASK_ID_B64:-}" && TASK_ID=$submitted
decode prNumber "${PR_NUMBER_B64:-}" && PR_NUMBER=$submitted
decode github-app "${GITHUB_APP_B64:-}" && GITHUB_APP=$submitted
decode usePVC "${USE_PVC_B64:-}" && USE_PVC=$submitted
decode headCommit "${HEAD_COMMIT_B64:-}" && HEAD_COMMIT=$submitted
: "${DEFAULT_GITHUB_APP:=}"

[ -n "$OWNER" ] || refuse owner "it is missing" "submit with -p owner=OWNER"
[ -n "$REPO" ] || refuse repo "it is missing" "submit with -p repo=REPO"
is_owner "$OWNER" || refuse owner "$(quoted "$OWNER") is not an owner's name" "letters, digits and inner hyphens, at most 39"
is_repository "$REPO" || refuse repo "$(quoted "$REPO") is not a repository's name" "letters, digits and . _ -, at most 100"

full_ref ref "${REF:-refs/heads/main}"
ref=$ref_name
base_ref=$ref
if [ -n "$BASE_REF" ]; then
    full_ref baseRef "$BASE_REF"
    base_ref=$ref_name
fi
# Only a branch can have a key of its own; tags, pull requests and commits fall under the repository's.
branch=
case $base_ref in
    refs/heads/*) branch=${base_ref#refs/heads/} ;;
esac

case $PR_NUMBER in
    *[!0-9]*) refuse prNumber "$(quoted "$PR_NUMBER") is not a number" "give the pull request's number, digits only" ;;
esac
[ "${#PR_NUMBER}" -le 10 ] || refuse prNumber "$(quoted "$PR_NUMBER") is too long" "give the pull request's number, at most 10 digits"

task_id=$TASK_ID
if [ -z "$task_id" ]; then
    task_prefix=
    [ -z "$PR_NUMBER" ] || task_prefix=pr-$PR_NUMBER-
    # The end of a long workflow's name is what tells it from others.
    task_id=$task_prefix$(WORKFLOW=$WORKFLOW_NAME ROOM=$((63 - ${#task_prefix})) awk 'BEGIN {
        name = ENVIRON["WORKFLOW"]
        if (length(name) > ENVIRON["ROOM"]) name = substr(name, length(name) - ENVIRON["ROOM"] + 1)
        sub(/^[^A-Za-z0-9]+/, "", name)
        print name
    }')
fi
is_task_id "$task_id" || refuse taskId "$(quoted "$task_id") can't name a folder" "give letters, digits and inner . _ -, at most 63, no '..', not ending in .lock"

case $GITHUB_APP in
    *[!a-z0-9-]*) refuse github-app "$(quoted "$GITHUB_APP") is not the name of an app" "give lower-case letters, digits and hyphens" ;;
esac
[ "${#GITHUB_APP}" -le 63 ] || refuse github-app "$(quoted "$GITHUB_APP") is longer than 63 characters" "give the app's name as configured"

case $USE_PVC in
    true) mode=claim ;;
    false | '') mode=shared ;;
    *) refuse usePVC "$(quoted "$USE_PVC") is neither true nor false" "give true or false" ;;
esac

pause_until=$(($(now) + PAUSE_TIMEOUT_SECONDS))
look_up
choose_credentials
paused=no
while [ "$repo_status" = paused ]; do
    if [ "$paused" = no ]; then
        say "$repo_owner/$repo_name is paused: waiting until paused is taken off (coderun-workspaces:repos, pulumi up)"
        commit_status "$repo_owner" "$repo_name" "$HEAD_COMMIT" pending "waits: $repo_owner/$repo_name is paused"
        paused=yes
    fi
    if is_past "$pause_until"; then
        refuse repo "$(quoted "$repo_owner/$repo_name") was paused for $PAUSE_TIMEOUT_SECONDS s" "take paused off in coderun-workspaces:repos, run pulumi up and submit again"
    fi
    sleep "$PAUSE_POLL_SECONDS"
    look_up
    choose_credentials
done

mkdir -p "$OUTPUT_DIR"
output owner "$repo_owner"
output repo "$repo_name"
output ref "$ref"
output task-id "$task_id"
output key "$key"
output mode "$mode"
output credentials-secret "$secret"
output github-app "$app"
commit_status "$repo_owner" "$repo_name" "$HEAD_COMMIT" pending "queued: waits for its turn on $key"
say "$repo_owner/$repo_name at $ref: task $task_id, semaphore key $key, mode $mode"
