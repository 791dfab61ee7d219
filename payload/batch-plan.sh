# shellcheck shell=sh
# plan: reads the tasks of a batch and hands on one name each, before anything is started. Needs task-messages.sh, coderun-end.sh and batch-tasks.sh.
# Input: NAMESPACE WORKFLOW_NAME WORKFLOW_UID MOST_TASKS API_TIMEOUT_SECONDS OUTPUT_DIR; optional MOST_BATCHES.
# Output, a file each: tasks (a JSON list of "NUMBER OWNER/REPO") count.

for name in NAMESPACE WORKFLOW_NAME WORKFLOW_UID MOST_TASKS API_TIMEOUT_SECONDS OUTPUT_DIR; do
    eval "[ -n \"\${$name:-}\" ]" || fail "plan: the variable $name is empty. Remedy: deploy the stack again (pulumi up)."
done

# Every batch counts as a workflow itself. If batches took up all that may be at once, none of their tasks could ever start.
# shellcheck disable=SC2154 # answer is set by ask
refuse_too_many_batches() {
    ask "$(($(now) + API_TIMEOUT_SECONDS))" workflows.argoproj.io --selector 'coderun/batch,!coderun/batch-task,workflows.argoproj.io/completed!=true' \
        -o 'jsonpath={range .items[*]}{.metadata.creationTimestamp}{" "}{.metadata.name}{" "}{.status.phase}{"\n"}{end}'
    # Without the tasks' runs and what has ended: each takes 100 KB and more, and kubectl holds the whole list in memory.
    older=$(printf '%s\n' "$answer" | sort | OWN_NAME=$WORKFLOW_NAME awk '
        $2 == ENVIRON["OWN_NAME"] { exit }
        $3 != "Succeeded" && $3 != "Failed" && $3 != "Error" { older++ }
        END { print older + 0 }')
    [ "$older" -lt "$MOST_BATCHES" ] ||
        fail "batch: $older batches run already, and more than $MOST_BATCHES could take all the places that coderun-workspaces:workflowsAtOnce leaves to their tasks. Remedy: submit it again when one has ended, or raise workflowsAtOnce."
}

[ -z "${MOST_BATCHES:-}" ] || refuse_too_many_batches
# Names of tasks' workflows become labels of at most 63 characters.
[ "${#WORKFLOW_NAME}" -le 58 ] || fail "batch: its name $(quoted "$WORKFLOW_NAME") is longer than 58 characters. Remedy: submit it under a shorter name."

fetch_tasks "$(($(now) + API_TIMEOUT_SECONDS))"
count=$(awk 'END { print NR }' "$SCRATCH/tasks")
[ "$count" -gt 0 ] || refuse tasks "the list is empty" "give at least one task"
[ "$count" -le "$MOST_TASKS" ] || refuse tasks "it has $count tasks, more than $MOST_TASKS" "spread them over several batches"

mkdir -p "$OUTPUT_DIR"
printf '%s' "$count" >"$OUTPUT_DIR/count"
awk -F '|' '
    BEGIN { printf "[" }
    { printf "%s\"%s %s\"", (NR > 1 ? "," : ""), $1, $3 }
    END { printf "]" }' "$SCRATCH/tasks" >"$OUTPUT_DIR/tasks"
say "$count tasks, of which $(awk -F '|' '$2 != "" { bad++ } END { print bad + 0 }' "$SCRATCH/tasks") can't run"
