# shellcheck shell=sh
# Why a workflow failed, in the words of the step that did. Needs task-messages.sh and coderun-end.sh.
# Input: NAMESPACE.

# failed_step UNTIL WORKFLOW: what the first failed step said, in $failed_step_said; its cleanup's word counts least. Empty if no step has said anything.
# shellcheck disable=SC2154 # answer is set by ask
failed_step() {
    ask "$1" workflows.argoproj.io "$2" --ignore-not-found \
        -o 'jsonpath={range .status.nodes.*}{.type}{"|"}{.phase}{"|"}{.displayName}{"|"}{.startedAt}{"|"}{.message}{"\n"}{end}'
    # shellcheck disable=SC2034 # for those who call
    failed_step_said=$(printf '%s\n' "$answer" | awk -F '|' '
        $1 == "Pod" && ($2 == "Failed" || $2 == "Error") && $5 != "" {
            text = $0
            for (i = 0; i < 4; i++) text = substr(text, index(text, "|") + 1)
            rank = ($3 ~ /onExit/ ? "2" : "1") $4
            if (best == "" || rank < best) { best = rank; message = text }
        }
        END { print message }' | sed 's/^Error (exit code [0-9]*): //')
}
