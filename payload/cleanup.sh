# shellcheck shell=sh
# cleanup (onExit): takes away all that this run made, and nothing else. Needs task-messages.sh, base-lock.sh, coderun-end.sh, task-removal.sh,
# claim-events.sh, kept-work.sh and run-outcome.sh with what that needs. It finds its own by the workflow's UID, so it works without any step's output,
# after any step's failure, and twice.
# Input: NAMESPACE WORKFLOW_NAME WORKFLOW_UID WORKFLOW_STATUS BASE_ROOT TREES_ROOT CODERUN_RESOURCE CODERUN_VERSION POD_LABEL
#        LOCK_TIMEOUT_SECONDS CLEANUP_TIMEOUT_SECONDS KEPT_ROOT KEPT_MAX_BYTES KEPT_DAYS KEPT_MEMORY_KIB KEPT_TIMEOUT_SECONDS OWN_CLAIM_FILE;
#        optional that of run-outcome.sh.
# Output: OWN_CLAIM_FILE: "keep" if the run's own claim is still there, as its work is to be kept first; else "gone".

for name in NAMESPACE WORKFLOW_NAME WORKFLOW_UID WORKFLOW_STATUS BASE_ROOT TREES_ROOT CODERUN_RESOURCE CODERUN_VERSION POD_LABEL LOCK_TIMEOUT_SECONDS \
    CLEANUP_TIMEOUT_SECONDS KEPT_ROOT KEPT_MAX_BYTES KEPT_DAYS KEPT_MEMORY_KIB KEPT_TIMEOUT_SECONDS OWN_CLAIM_FILE; do
    eval "[ -n \"\${$name:-}\" ]" || fail "cleanup: the variable $name is empty. Remedy: deploy the stack again (pulumi up)."
done
is_workflow_uid "$WORKFLOW_UID" || fail "cleanup: $(quoted "$WORKFLOW_UID") is not a workflow's UID. Remedy: deploy the stack again (pulumi up)."

cleanup_until=$(($(now) + CLEANUP_TIMEOUT_SECONDS))
git_environment

# end_own_steps: after a stop, pods of the steps may live on for their grace period, and could still write the tree or apply the CodeRun.
# Pods of exit handlers, this one among them, are left alone.
# shellcheck disable=SC2154 # answer is set by ask
end_own_steps() {
    ask "$cleanup_until" pods --selector "workflows.argoproj.io/workflow=$WORKFLOW_NAME" \
        --field-selector 'status.phase!=Succeeded,status.phase!=Failed' \
        -o 'jsonpath={range .items[*]}{.metadata.name}{"|"}{.metadata.uid}{"|"}{.metadata.ownerReferences[0].uid}{"|"}{.metadata.annotations['"'workflows\.argoproj\.io/node-name'"']}{"\n"}{end}'
    own_pods=
    while IFS='|' read -r pod_name pod_uid pod_owner pod_node; do
        case $pod_node in
            '' | "$WORKFLOW_NAME".onExit*) continue ;;
        esac
        if [ "$pod_owner" = "$WORKFLOW_UID" ]; then
            own_pods="$own_pods $pod_name/$pod_uid"
        fi
    done <<END
$answer
END
    # shellcheck disable=SC2086 # pods, one a word
    end_pods "$cleanup_until" $own_pods
}

end_own_coderun() {
    ask "$cleanup_until" "$CODERUN_RESOURCE" "$WORKFLOW_NAME" --ignore-not-found \
        -o 'jsonpath={.metadata.uid}{"|"}{.metadata.labels['"'coderun/workflow-uid'"']}'
    if [ "${answer#*|}" = "$WORKFLOW_UID" ]; then
        end_coderun "$cleanup_until" "$WORKFLOW_NAME" "${answer%%|*}"
    fi
}

# shellcheck disable=SC2154 # what a record holds is set by parse_record
remove_own_tasks() {
    for record_file in "$BASE_ROOT"/.tasks/*; do
        if [ ! -f "$record_file" ] || [ -h "$record_file" ]; then
            continue
        fi
        record_task=${record_file##*/}
        record_line=$(first_line "$record_file")
        case $record_line in
            "$WORKFLOW_UID$TAB"*) ;;
            *) continue ;;
        esac
        if ! parse_record "$record_line" || [ "$record_run" != "$WORKFLOW_UID" ] || ! is_task_id "$record_task"; then
            fail "cleanup: the record $(quoted "$record_file") is damaged ($(quoted "$record_line")). Remedy: have an operator look at it; nothing was deleted for it."
        fi
        if [ "$WORKFLOW_STATUS" != Succeeded ]; then
            use_repository "$record_owner" "$record_repo" "$record_task"
            keep_work "$record_task" "$record_owner/$record_repo" "the run ended as $WORKFLOW_STATUS"
        fi
        if remove_task "$record_task" "$record_owner" "$record_repo"; then
            say "cleanup: removed task $record_task"
        fi
    done
    rm -f "$BASE_ROOT/.tasks/.claim-$WORKFLOW_UID"
}

# note_unbound_claim UID: in $unbound_claim, why the run's claim was not bound. A class that binds late, and has not been asked to, is no reason.
note_unbound_claim() {
    claim_events "$cleanup_until" "$1"
    case $(last_claim_event) in
        WaitFor*) ;;
        *) unbound_claim="claim $WORKFLOW_NAME-work was not bound when the run ended: $(last_claim_event). Remedy: if nobody stopped the run, check storage.own.storageClass (kubectl get storageclass) and that its provisioner runs and has room, or submit with usePVC=false." ;;
    esac
}

# remove_own_claim: the claim of usePVC=true, known by its name and its owner. This pod can't mount it, as it may not be there. So what is to be
# kept of it is left to a pod that does, which asks for its deletion afterwards.
remove_own_claim() {
    ask "$cleanup_until" persistentvolumeclaims "$WORKFLOW_NAME-work" --ignore-not-found \
        -o 'jsonpath={.metadata.labels.workflow}{"|"}{.metadata.ownerReferences[0].uid}{"|"}{.status.phase}{"|"}{.metadata.uid}'
    claim_uid=${answer##*|}
    case $answer in
        "$WORKFLOW_NAME|$WORKFLOW_UID|Bound|"*)
            if [ "$WORKFLOW_STATUS" != Succeeded ] && [ "$KEPT_MAX_BYTES" -gt 0 ]; then
                own_claim=keep
                return 0
            fi
            ;;
        "$WORKFLOW_NAME|$WORKFLOW_UID|Pending|"*) note_unbound_claim "$claim_uid" ;;
        "$WORKFLOW_NAME|$WORKFLOW_UID|"*) ;;
        *) return 0 ;;
    esac
    remove_object "$cleanup_until" persistentvolumeclaims "$WORKFLOW_NAME-work" "$claim_uid"
    while :; do
        ask "$cleanup_until" persistentvolumeclaims "$WORKFLOW_NAME-work" --ignore-not-found -o 'jsonpath={.metadata.uid}'
        [ "$answer" = "$claim_uid" ] || break
        if is_past "$cleanup_until"; then
            fail "cleanup: the claim $WORKFLOW_NAME-work is still there after its deletion was asked for. Remedy: see what uses it (kubectl -n $NAMESPACE describe pvc $WORKFLOW_NAME-work)."
        fi
        poll_pause
    done
    say "cleanup: removed the claim $WORKFLOW_NAME-work"
}

own_claim=gone
unbound_claim=
end_own_steps
end_own_coderun
# In a subshell: if the tree can't be removed, the claim still is, and the step fails in the end.
tasks_code=0
(remove_own_tasks) || tasks_code=$?
remove_own_claim
printf '%s' "$own_claim" >"$OWN_CLAIM_FILE"
(report_outcome "$cleanup_until") || say "cleanup: the outcome was not reported"
# All is removed: it fails only to be heard, as the run's own steps could not tell.
[ -z "$unbound_claim" ] || fail "$unbound_claim"
exit "$tasks_code"
