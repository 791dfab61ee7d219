# shellcheck shell=sh
# shellcheck disable=SC2154,SC2034 # set or used by the files that this one is joined with
# sweep (CronJob): removes what exit handlers could not, as a run was terminated or deleted, or its pods were lost; only on proof that the run is gone.
# Needs task-messages.sh, base-lock.sh, coderun-end.sh, task-removal.sh, kept-work.sh, gone-runs.sh, claim-leftovers.sh, claim-events.sh,
# unbound-claims.sh and claim-usage.sh.
# Input: NAMESPACE BASE_ROOT TREES_ROOT CODERUN_RESOURCE CODERUN_VERSION POD_LABEL LOCK_TIMEOUT_SECONDS FENCE_TIMEOUT_SECONDS SWEEP_TIMEOUT_SECONDS
#        KEPT_ROOT KEPT_MAX_BYTES KEPT_DAYS KEPT_MEMORY_KIB KEPT_TIMEOUT_SECONDS CLAIM_SIZE_BYTES USAGE_TIMEOUT_SECONDS
#        CLAIM_TIMEOUT_SECONDS CRON_JOB REPORT.
# Output: a line for each thing that it removes or keeps against expectation, a summary, and the ConfigMap REPORT with the same figures.

for name in NAMESPACE BASE_ROOT TREES_ROOT CODERUN_RESOURCE CODERUN_VERSION POD_LABEL LOCK_TIMEOUT_SECONDS FENCE_TIMEOUT_SECONDS SWEEP_TIMEOUT_SECONDS \
    KEPT_ROOT KEPT_MAX_BYTES KEPT_DAYS KEPT_MEMORY_KIB KEPT_TIMEOUT_SECONDS CLAIM_SIZE_BYTES USAGE_TIMEOUT_SECONDS \
    CLAIM_TIMEOUT_SECONDS CRON_JOB REPORT; do
    eval "[ -n \"\${$name:-}\" ]" || fail "sweep: the variable $name is empty. Remedy: deploy the stack again (pulumi up)."
done

sweep_began=$(now)
sweep_until=$((sweep_began + SWEEP_TIMEOUT_SECONDS))
: >"$SCRATCH/removed"
: >"$SCRATCH/kept"
: >"$SCRATCH/failed"

# removed KIND WHAT-AND-WHY
removed() {
    echo "$1" >>"$SCRATCH/removed"
    say "sweep: removed $(clean "$2" 400)"
}

# kept WHAT-AND-WHY
kept() {
    echo kept >>"$SCRATCH/kept"
    say "sweep: kept $(clean "$1" 400)"
}

# kept_as_expected: what belongs to a live run is counted only.
kept_as_expected() {
    echo kept >>"$SCRATCH/kept"
}

# failed WHAT: goes on, and is named at the end.
failed() {
    printf '%s\n' "$(clean "$1" 400)" >>"$SCRATCH/failed"
    say "sweep: failed on $(clean "$1" 400)"
}

# attempt WHAT FUNCTION ARGUMENTS…: a function that is a shell of its own, so that its end is not the sweep's. $attempted is its code: 0 it was
# removed, 2 it is to stay, else it failed.
attempt() {
    attempt_what=$1
    shift
    attempted=0
    ("$@") || attempted=$?
    case $attempted in
        0 | 2) ;;
        *) failed "$attempt_what" ;;
    esac
}

count() {
    grep -c -x "$1" "$SCRATCH/removed" || true
}

# report: owned by the CronJob, so that it goes with it.
report() {
    ask "$(($(now) + LOOK_SECONDS))" cronjobs.batch "$CRON_JOB" -o 'jsonpath={.metadata.uid}'
    report_text="{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"$REPORT\",\"namespace\":\"$NAMESPACE\",\
\"labels\":{\"app.kubernetes.io/part-of\":\"coderun\"},\
\"ownerReferences\":[{\"apiVersion\":\"batch/v1\",\"kind\":\"CronJob\",\"name\":\"$CRON_JOB\",\"uid\":\"$answer\"}]},\
\"data\":{\"finishedAt\":\"$(date -u +%Y-%m-%dT%H:%M:%SZ)\",\"seconds\":\"$sweep_seconds\",\
\"removed\":\"$sweep_removed\",\"removedTasks\":\"$(count tasks)\",\"removedCodeRuns\":\"$(count coderuns)\",\"removedPods\":\"$(count pods)\",\
\"removedClaims\":\"$(count claims)\",\"removedOrphans\":\"$(count orphans)\",\"removedClones\":\"$(count clones)\",\
\"removedBases\":\"$(count bases)\",\"removedKeptWork\":\"$(count kept-work)\",\"kept\":\"$sweep_kept\",\"failed\":\"$sweep_failed\",\
\"claimUsedBytes\":\"$claim_used\",\"claimSizeBytes\":\"$claim_size\"}}"
    report_until=$(($(now) + LOOK_SECONDS))
    until printf '%s' "$report_text" | kube apply --server-side --force-conflicts --field-manager=coderun-sweeper -f - >/dev/null 2>"$SCRATCH/kubectl-error"; do
        give_up_or_pause "$report_until" "kubectl apply configmap $REPORT"
    done
}

git_environment

# One sweep at a time: what a dead one has left half done can then be told from what a living one does.
sweep_lock_timeout=$LOCK_TIMEOUT_SECONDS
LOCK_TIMEOUT_SECONDS=$SWEEP_TIMEOUT_SECONDS
sweep_lock_code=0
take_lock 7 "$BASE_ROOT/.sweep.lock" || sweep_lock_code=$?
LOCK_TIMEOUT_SECONDS=$sweep_lock_timeout
case $sweep_lock_code in
    0) ;;
    1) fail "sweep: another sweep has been at work for more than $SWEEP_TIMEOUT_SECONDS s. Remedy: look for its pod (kubectl -n $NAMESPACE get pods), it may hang on the claim." ;;
    *) fail_storage "lock of the sweep" "$SCRATCH/lock-error" ;;
esac

list_records
list_living
list_own_claims
list_unfinished_workflows
end_dead_runs
end_unbound_steps
remove_dead_claims
sweep_claim

measure_claim
sweep_seconds=$(($(now) - sweep_began))
sweep_removed=$(wc -l <"$SCRATCH/removed" | tr -d ' ')
sweep_kept=$(wc -l <"$SCRATCH/kept" | tr -d ' ')
sweep_failed=$(wc -l <"$SCRATCH/failed" | tr -d ' ')
attempt "the report $REPORT (check the sweeper's Role)" report
say "sweep: $sweep_removed removed, $sweep_kept kept, $sweep_failed failed, claim ${claim_used:-unknown} of $claim_size bytes, $sweep_seconds s"
[ ! -s "$SCRATCH/failed" ] ||
    fail "sweep: failed on: $(clean "$(tr '\n' ';' <"$SCRATCH/failed")" 900) Remedy: the log names each with its reason, docs/cleanup-and-recovery.md what to do; the next sweep tries again."
