# shellcheck shell=sh
# keep-own-claim (onExit, after cleanup, only when it said "keep"): keeps the work of a run with a claim of its own that did not succeed, and asks for
# the claim's deletion, whatever came of it. The claim goes when this pod's object has gone. Needs task-messages.sh, base-lock.sh, coderun-end.sh and kept-work.sh.
# Input: NAMESPACE WORKFLOW_NAME WORKFLOW_UID WORKFLOW_STATUS BASE_ROOT (the shared claim's, read-only) OWN_ROOT (the own claim, read-only) TREES_ROOT
#        (of the own claim) CODERUN_RESOURCE CODERUN_VERSION POD_LABEL LOCK_TIMEOUT_SECONDS CLEANUP_TIMEOUT_SECONDS
#        KEPT_ROOT KEPT_MAX_BYTES KEPT_DAYS KEPT_MEMORY_KIB KEPT_TIMEOUT_SECONDS.

for name in NAMESPACE WORKFLOW_NAME WORKFLOW_UID WORKFLOW_STATUS BASE_ROOT OWN_ROOT TREES_ROOT CODERUN_RESOURCE CODERUN_VERSION POD_LABEL \
    LOCK_TIMEOUT_SECONDS CLEANUP_TIMEOUT_SECONDS KEPT_ROOT KEPT_MAX_BYTES KEPT_DAYS KEPT_MEMORY_KIB KEPT_TIMEOUT_SECONDS; do
    eval "[ -n \"\${$name:-}\" ]" || fail "keep-own-claim: the variable $name is empty. Remedy: deploy the stack again (pulumi up)."
done

git_environment

# shellcheck disable=SC2034,SC2154 # OWN_GIT is keep_work's; what a record holds is set by parse_record
keep_own_work() {
    for record_file in "$OWN_ROOT"/base/.tasks/*; do
        if ! parse_record "$(first_line "$record_file")" || [ "$record_run" != "$WORKFLOW_UID" ] || ! is_task_id "${record_file##*/}"; then
            continue
        fi
        use_repository "$record_owner" "$record_repo" "${record_file##*/}"
        OWN_GIT=$OWN_ROOT/base/$record_owner/$record_repo.git
        keep_work "${record_file##*/}" "$record_owner/$record_repo" "the run ended as $WORKFLOW_STATUS"
    done
}

# In a subshell, and whatever its end: a claim that stays is worth less than one that goes.
(keep_own_work) || say "kept work: not all of it"
keep_until=$(($(now) + CLEANUP_TIMEOUT_SECONDS))
ask "$keep_until" persistentvolumeclaims "$WORKFLOW_NAME-work" --ignore-not-found \
    -o 'jsonpath={.metadata.labels.workflow}{"|"}{.metadata.ownerReferences[0].uid}{"|"}{.metadata.uid}'
# shellcheck disable=SC2154 # answer is set by ask
case $answer in
    "$WORKFLOW_NAME|$WORKFLOW_UID|"*)
        remove_object "$keep_until" persistentvolumeclaims "$WORKFLOW_NAME-work" "${answer##*|}"
        say "keep-own-claim: asked for the deletion of the claim $WORKFLOW_NAME-work"
        ;;
esac
