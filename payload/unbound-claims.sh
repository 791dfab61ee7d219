# shellcheck shell=sh
# shellcheck disable=SC2154 # set by the files that this one is joined with
# Steps whose pod waits for a claim of the run's own that nobody binds. Argo looks at the time of a waiting pod only when something else happens in its workflow, and
# not at all where the step may be tried again (3.7.17): the semaphore would be held until the workflow's own deadline.
# Needs task-messages.sh, coderun-end.sh, claim-events.sh and gone-runs.sh. Input: CLAIM_TIMEOUT_SECONDS. Uses removed and attempt of sweep.sh.

# seconds_of TIME: of an object, "2026-01-01T00:00:00Z", in seconds. BusyBox's date takes no T and no Z.
seconds_of() {
    date -u -d "$(printf '%s' "$1" | tr 'TZ' '  ')" +%s
}

# end_steps_that_wait_for NAME UID RUN
end_steps_that_wait_for() (
    claim_events "$sweep_until" "$2"
    # Nobody was asked for a volume yet: the pod waits for something else, a node with room for example.
    case $(last_claim_event) in WaitFor*) exit 2 ;; esac
    ask "$sweep_until" pods --selector "coderun/workflow-uid=$3,coderun/step=init-worktree" \
        -o 'jsonpath={range .items[*]}{.metadata.name}{"|"}{.metadata.uid}{"|"}{.status.phase}{"|"}{.metadata.creationTimestamp}{"\n"}{end}'
    while IFS='|' read -r waiting_name waiting_uid waiting_phase waiting_made; do
        # A pending pod that is deleted before its step's time is over is made anew, to wait until the next sweep.
        if [ "$waiting_phase" = Pending ] && is_past "$(($(seconds_of "$waiting_made") + CLAIM_TIMEOUT_SECONDS))"; then
            remove_object "$sweep_until" pods "$waiting_name" "$waiting_uid"
            removed pods "pod $waiting_name: the claim $1 that it waits for was not bound within $CLAIM_TIMEOUT_SECONDS s: $(last_claim_event)"
        fi
    done <<END
$answer
END
)

# end_unbound_steps: of the claims in $SCRATCH/claims.
end_unbound_steps() {
    while IFS='|' read -r claim_name claim_uid claim_run claim_deleted claim_phase _; do
        if [ "$claim_phase" = Pending ] && [ -z "$claim_deleted" ]; then
            attempt "steps that wait for the claim $claim_name" end_steps_that_wait_for "$claim_name" "$claim_uid" "$claim_run"
        fi
    done <"$SCRATCH/claims"
}
