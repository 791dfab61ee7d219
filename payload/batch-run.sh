# shellcheck shell=sh
# run: one task of a batch. Makes a run of its own for it (a Workflow, so that key, fence and cleanup are those of any run), waits for its end
# and tells how it ended. Needs task-messages.sh, coderun-end.sh, watch-phase.sh, failed-step.sh and batch-tasks.sh. Started again, it goes on waiting for
# the same run.
# It succeeds whatever becomes of the task: Argo collects the results of succeeded steps only, and the summary fails the batch.
# Input: ITEM ("NUMBER OWNER/REPO") NAMESPACE WORKFLOW_NAME WORKFLOW_UID RUN_TEMPLATE API_TIMEOUT_SECONDS RESULT_FILE; optional WATCH_SECONDS (300).
# Output: a JSON object in RESULT_FILE.

for name in ITEM NAMESPACE WORKFLOW_NAME WORKFLOW_UID RUN_TEMPLATE API_TIMEOUT_SECONDS RESULT_FILE; do
    eval "[ -n \"\${$name:-}\" ]" || fail "run: the variable $name is empty. Remedy: deploy the stack again (pulumi up)."
done
number=${ITEM%% *}
case $number in
    *[!0-9]*) fail "run: $(quoted "$ITEM") names no task. Remedy: deploy the stack again (pulumi up)." ;;
esac
run=$WORKFLOW_NAME-$number
ENDED='Succeeded Failed Error'

api_limit() {
    printf '%s' "$(($(now) + API_TIMEOUT_SECONDS))"
}

# result PHASE MESSAGE: ends the step. No braces: Argo looks for them in outputs that it hands on.
result() {
    result_text=$(clean "$2" 240 | tr '{}' '()' | sed 's/\\/\\\\/g; s/"/\\"/g')
    mkdir -p "${RESULT_FILE%/*}"
    printf '{"task":%s,"repo":"%s","workflow":"%s","phase":"%s","message":"%s"}' "$number" "$repo" "$run" "$1" "$result_text" >"$RESULT_FILE"
    say "task $number $repo: $1${2:+: $(clean "$2" 1000)}"
    exit 0
}

# When the batch is stopped, so is its task. When only this pod has to go, the step is started again and finds the run.
stop_now() {
    [ -z "${watcher:-}" ] || kill "$watcher" 2>/dev/null || true
    stop_state=$(kube get workflows.argoproj.io "$WORKFLOW_NAME" --ignore-not-found -o 'jsonpath={.metadata.uid}{"|"}{.spec.shutdown}' </dev/null) || true
    if [ "$stop_state" != "$WORKFLOW_UID|" ]; then
        kube patch workflows.argoproj.io "$run" --type=merge --patch='{"spec":{"shutdown":"Stop"}}' </dev/null || true
    fi
    exit 143
}

fetch_tasks "$(api_limit)"
IFS='|' read -r line_number fault repo parameters <<END
$(sed -n "${number}p" "$SCRATCH/tasks")
END
[ "${line_number:-}" = "$number" ] || fail "run: task $number is not in the list. Remedy: submit the batch again."
[ -z "$fault" ] || result Refused "$fault. Remedy: correct this task and submit it again."

trap stop_now TERM INT
manifest=$(printf '{"apiVersion":"argoproj.io/v1alpha1","kind":"Workflow","metadata":{"name":"%s","namespace":"%s","labels":{"coderun/batch":"%s","coderun/batch-task":"%s"},"annotations":{"coderun/batch-uid":"%s"},"ownerReferences":[{"apiVersion":"argoproj.io/v1alpha1","kind":"Workflow","name":"%s","uid":"%s","controller":false,"blockOwnerDeletion":false}]},"spec":{"workflowTemplateRef":{"name":"%s"},"arguments":{"parameters":%s}}}' \
    "$run" "$NAMESPACE" "$WORKFLOW_NAME" "$number" "$WORKFLOW_UID" "$WORKFLOW_NAME" "$WORKFLOW_UID" "$RUN_TEMPLATE" "$parameters")
tries=0
until printf '%s' "$manifest" | kube create -f - >/dev/null 2>"$SCRATCH/kubectl-error"; do
    case $(cat "$SCRATCH/kubectl-error") in
        *AlreadyExists*) break ;;
        *'denied request'* | *'denied the request'* | *' is invalid'* | *' was invalid'* | *'rror parsing'*)
            result Refused "$(tail -n 3 "$SCRATCH/kubectl-error" | sed 's/^.*denied request: //')" ;;
    esac
    tries=$((tries + 1))
    [ "$tries" -lt 5 ] || result Error "its run can't be made: $(tail -n 3 "$SCRATCH/kubectl-error")"
    poll_pause
done

while :; do
    ask "$(api_limit)" workflows.argoproj.io "$run" --ignore-not-found \
        -o 'jsonpath={.metadata.annotations['"'coderun/batch-uid'"']}{"|"}{.status.phase}{"|"}{.status.message}'
    [ -n "$answer" ] || result Error "the workflow $run was deleted before it had ended"
    [ "${answer%%|*}" = "$WORKFLOW_UID" ] || result Error "there is a workflow $run already that is not of this batch"
    state=${answer#*|}
    case $state in
        Succeeded\|*) result Succeeded '' ;;
        Failed\|* | Error\|*)
            failed_step "$(api_limit)" "$run"
            result "${state%%|*}" "${failed_step_said:-${state#*|}}"
            ;;
    esac
    watch_phase workflows.argoproj.io "$run" "$ENDED" "${WATCH_SECONDS:-300}"
done
