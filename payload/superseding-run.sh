# shellcheck shell=sh
# Whether a newer run of the same pull request takes this one's place. Needs task-messages.sh and coderun-end.sh.
# Input: NAMESPACE WORKFLOW_NAME; optional ENTRYPOINT SUPERSEDE.
# A run ends itself when it sees a newer one. So no step needs the right to stop workflows, and what is ended is ended under its own lock.
# Only runs that haven't ended are asked for: each takes 300 KB, as Argo stores the scripts in it, and kubectl holds the whole list in memory.

# superseding_run UNTIL: the newest run that an event of the same pull request has started after this one and that may still do its work, in $newer.
# The order is by time and then by name, so of any two runs exactly one gives way, and the newest never does.
# shellcheck disable=SC2154,SC2034 # answer is set by ask; newer is for those who call
superseding_run() {
    newer=
    if [ "${ENTRYPOINT:-}" != coderun-event ] || [ "${SUPERSEDE:-}" != true ]; then
        return 0
    fi
    ask "$1" workflows.argoproj.io "$WORKFLOW_NAME" --ignore-not-found \
        -o 'jsonpath={.metadata.labels['"'coderun/pr'"']}{"|"}{.metadata.annotations['"'coderun/repo'"']}{"|"}{.metadata.creationTimestamp}'
    IFS='|' read -r own_pr own_repo own_made <<END
$answer
END
    case $own_pr in
        '' | *[!0-9]*) return 0 ;;
    esac
    ask "$1" workflows.argoproj.io --selector "coderun/pr=$own_pr,coderun/delivery,workflows.argoproj.io/completed!=true" \
        -o 'jsonpath={range .items[*]}{.metadata.creationTimestamp}{"|"}{.metadata.name}{"|"}{.status.phase}{"|"}{.spec.shutdown}{"|"}{.metadata.annotations['"'coderun/repo'"']}{"\n"}{end}'
    newer=$(printf '%s\n' "$answer" | OWN_MADE=$own_made OWN_NAME=$WORKFLOW_NAME OWN_REPO=$own_repo awk -F '|' '
        BEGIN { made = ENVIRON["OWN_MADE"] ""; name = ENVIRON["OWN_NAME"] "" }
        tolower($5) != tolower(ENVIRON["OWN_REPO"]) || $3 == "Succeeded" || $3 == "Failed" || $3 == "Error" || $4 != "" { next }
        ($1 "" > made) || ($1 "" == made && $2 "" > name) { made = $1 ""; name = $2 ""; newer = name }
        END { print newer }')
}
