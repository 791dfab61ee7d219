# shellcheck shell=sh
# claim: applies the run's own claim and waits until it is bound, or is known to be bound for the pod that uses it. Needs task-messages.sh, coderun-end.sh and
# claim-events.sh. May be started again for the same run.
# Input: NAMESPACE WORKFLOW_NAME WORKFLOW_UID CLAIM_MANIFEST (JSON) CLAIM_TIMEOUT_SECONDS CODERUN_RESOURCE POD_LABEL; optional CLAIM_CLASS (for messages).

for name in NAMESPACE WORKFLOW_NAME WORKFLOW_UID CLAIM_MANIFEST CLAIM_TIMEOUT_SECONDS CODERUN_RESOURCE POD_LABEL; do
    eval "[ -n \"\${$name:-}\" ]" || fail "claim: the variable $name is empty. Remedy: deploy the stack again (pulumi up)."
done

own_claim=$WORKFLOW_NAME-work
claim_until=$(($(now) + CLAIM_TIMEOUT_SECONDS))
claim_class="the cluster's default class"
[ -z "${CLAIM_CLASS:-}" ] || claim_class="class $CLAIM_CLASS"

# look_at_claim: $claim_owner (UID of the workflow that it was made for), $claim_uid, $claim_phase; all empty if there is none.
# shellcheck disable=SC2154 # answer is set by ask
look_at_claim() {
    ask "$claim_until" persistentvolumeclaims "$own_claim" --ignore-not-found \
        -o 'jsonpath={.metadata.labels['"'coderun/workflow-uid'"']}{"|"}{.metadata.uid}{"|"}{.status.phase}{"|"}{.metadata.deletionTimestamp}'
    IFS='|' read -r claim_owner claim_uid claim_phase claim_deleted <<END
$answer
END
}

fail_unbound() {
    fail "claim $own_claim $1 ($claim_class): $(last_claim_event). Remedy: check storage.own.storageClass (kubectl get storageclass) and that its provisioner runs and has room, or submit with usePVC=false."
}

# Names of workflows come again after their deletion. A dead one's claim goes with its workflow; ours is another.
while :; do
    look_at_claim
    if [ -z "$claim_uid" ] || { [ "$claim_owner" = "$WORKFLOW_UID" ] && [ -z "$claim_deleted" ]; }; then
        break
    fi
    if is_past "$claim_until"; then
        fail "claim $own_claim: one of that name is still there, which is not this run's. Remedy: see what uses it (kubectl -n $NAMESPACE describe pvc $own_claim), delete it and submit again."
    fi
    poll_pause
done

tries=0
until printf '%s' "$CLAIM_MANIFEST" |
    kube apply --server-side --force-conflicts --field-manager=coderun-workflow -f - 2>"$SCRATCH/kubectl-error"; do
    tries=$((tries + 1))
    if [ "$tries" -ge 5 ]; then
        fail "claim $own_claim can't be made: $(clean "$(tail -n 3 "$SCRATCH/kubectl-error")" 400). Remedy: check storage.own of the stack, and the namespace's quota."
    fi
    poll_pause
done

while :; do
    look_at_claim
    case $claim_phase in
        Bound)
            say "claim $own_claim: bound"
            exit 0
            ;;
        Lost) fail "claim $own_claim has lost its volume. Remedy: check the provisioner of $claim_class, then submit again." ;;
    esac
    : >"$SCRATCH/claim-events"
    [ -z "$claim_uid" ] || claim_events "$claim_until" "$claim_uid"
    if binds_late; then
        say "claim $own_claim: is bound for the next step's pod, as $claim_class binds late"
        exit 0
    fi
    if grep -q '|ProvisioningFailed|storageclass\.storage\.k8s\.io "[^"]*" not found' "$SCRATCH/claim-events"; then
        fail_unbound "can't be bound"
    fi
    if is_past "$claim_until"; then
        fail_unbound "is not bound after $CLAIM_TIMEOUT_SECONDS s"
    fi
    poll_pause
done
