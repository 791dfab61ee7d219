# shellcheck shell=sh
# create-coderun: applies the CodeRun and stays, with the semaphore held, until it and its pods have ended.
# Needs task-messages.sh, coderun-end.sh, watch-phase.sh and superseding-run.sh. May be started again for the same run: it then goes on waiting.
# Input: CODERUN_MANIFEST (JSON) NAMESPACE WORKFLOW_NAME WORKFLOW_UID SUCCEEDED_PHASES FAILED_PHASES (space separated) RUN_TIMEOUT_SECONDS
#        CODERUN_RESOURCE CODERUN_VERSION POD_LABEL; optional FENCE_TIMEOUT_SECONDS (300: how long an ended CodeRun and its pods may take to be gone),
#        WATCH_SECONDS (300: after so long without news it asks anew, for a watch can go deaf), and that of superseding-run.sh with
#        SUPERSEDE_SECONDS (15: how often it looks for a newer run).

for name in CODERUN_MANIFEST NAMESPACE WORKFLOW_NAME WORKFLOW_UID SUCCEEDED_PHASES FAILED_PHASES RUN_TIMEOUT_SECONDS CODERUN_RESOURCE CODERUN_VERSION \
    POD_LABEL; do
    eval "[ -n \"\${$name:-}\" ]" || fail "create-coderun: the variable $name is empty. Remedy: deploy the stack again (pulumi up)."
done

end_limit() {
    printf '%s' "$(($(now) + ${FENCE_TIMEOUT_SECONDS:-300}))"
}

# found_coderun UNTIL: is there a CodeRun of the workflow's name? Its UID in $coderun_uid, its workflow's in $coderun_workflow.
# shellcheck disable=SC2154 # answer is set by ask
found_coderun() {
    ask "$1" "$CODERUN_RESOURCE" "$WORKFLOW_NAME" --ignore-not-found \
        -o 'jsonpath={.metadata.uid}{"|"}{.metadata.labels['"'coderun/workflow-uid'"']}'
    coderun_uid=${answer%%|*}
    coderun_workflow=${answer#*|}
    [ -n "$coderun_uid" ]
}

# The pod is asked to go: the agent must not outlive it. Best effort; cleanup and the next holder's fence do the rest.
stop_now() {
    [ -z "${watcher:-}" ] || kill "$watcher" 2>/dev/null || true
    (
        found_coderun "$(now)" && [ "$coderun_workflow" = "$WORKFLOW_UID" ] &&
            remove_object "$(now)" "$CODERUN_RESOURCE" "$WORKFLOW_NAME" "$coderun_uid" Foreground
    ) || true
    exit 143
}
trap stop_now TERM INT

run_until=$(($(now) + RUN_TIMEOUT_SECONDS))
WATCH_SECONDS=${WATCH_SECONDS:-300}
# A newer run of a pull request isn't seen by the watch: it is asked for now and then.
if [ "${ENTRYPOINT:-}" = coderun-event ] && [ "${SUPERSEDE:-}" = true ]; then
    WATCH_SECONDS=${SUPERSEDE_SECONDS:-15}
fi

# Names of workflows come again after their deletion: a CodeRun of the name may be a dead one's.
if found_coderun "$run_until" && [ "$coderun_workflow" != "$WORKFLOW_UID" ]; then
    end_coderun "$(end_limit)" "$WORKFLOW_NAME" "$coderun_uid"
fi

tries=0
until coderun_uid=$(printf '%s' "$CODERUN_MANIFEST" |
    kube apply --server-side --force-conflicts --field-manager=coderun-workflow -o 'jsonpath={.metadata.uid}' -f - 2>"$SCRATCH/kubectl-error"); do
    tries=$((tries + 1))
    if [ "$tries" -ge 5 ]; then
        fail "CodeRun $WORKFLOW_NAME can't be made: $(clean "$(tail -n 3 "$SCRATCH/kubectl-error")" 400). Remedy: check coderun.spec of the stack against the CRD, and that the CRD is there."
    fi
    poll_pause
done
say "CodeRun $WORKFLOW_NAME applied"

while :; do
    ask "$run_until" "$CODERUN_RESOURCE" "$WORKFLOW_NAME" --ignore-not-found -o 'jsonpath={.metadata.uid}{"|"}{.status.phase}{"|"}{.status.message}'
    if [ "${answer%%|*}" != "$coderun_uid" ]; then
        look_at_coderun "$run_until" "$WORKFLOW_NAME" "$coderun_uid"
        # shellcheck disable=SC2086 # pods, one a word
        end_pods "$(end_limit)" $coderun_pods
        fail "CodeRun $WORKFLOW_NAME was deleted while it ran. Remedy: submit again if that was not meant."
    fi
    phase=${answer#*|}
    message=${phase#*|}
    phase=${phase%%|*}
    outcome=running
    if [ -n "$phase" ]; then
        case " $SUCCEEDED_PHASES " in *" $phase "*) outcome=succeeded ;; esac
        case " $FAILED_PHASES " in *" $phase "*) outcome=failed ;; esac
    fi
    if [ "$outcome" != running ]; then
        look_at_coderun "$run_until" "$WORKFLOW_NAME" "$coderun_uid"
        [ -n "$coderun_pods" ] || break
    fi
    if is_past "$run_until"; then
        end_coderun "$(end_limit)" "$WORKFLOW_NAME" "$coderun_uid"
        fail "CodeRun $WORKFLOW_NAME had not ended after $RUN_TIMEOUT_SECONDS s (phase ${phase:-none}); it was ended. Remedy: raise deadlines.runSeconds, or make the task smaller."
    fi
    if [ "$outcome" = running ]; then
        superseding_run "$run_until"
        if [ -n "$newer" ]; then
            end_coderun "$(end_limit)" "$WORKFLOW_NAME" "$coderun_uid"
            fail "superseded: run $newer works on a newer head of this pull request; CodeRun $WORKFLOW_NAME was ended. Remedy: none is needed."
        fi
        watch_seconds=$((run_until - $(now)))
        [ "$watch_seconds" -le "$WATCH_SECONDS" ] || watch_seconds=$WATCH_SECONDS
        watch_phase "$CODERUN_RESOURCE" "$WORKFLOW_NAME" "$SUCCEEDED_PHASES $FAILED_PHASES" "$((watch_seconds + 1))"
    else
        poll_pause
    fi
done

if [ "$outcome" = failed ]; then
    fail "CodeRun $WORKFLOW_NAME ended as $phase: $(clean "${message:-no message}" 600). Remedy: see the log of its pod (label $POD_LABEL=$WORKFLOW_NAME)."
fi
say "CodeRun $WORKFLOW_NAME: $phase"
