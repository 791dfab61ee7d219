# shellcheck shell=sh
# What the cluster says about a claim that is not bound. Needs task-messages.sh and coderun-end.sh.
# Input: that of coderun-end.sh.

# shellcheck disable=SC2154 # answer is set by ask
# claim_events UNTIL UID: in $SCRATCH/claim-events, a line an event, "time|reason|message", the newest last.
claim_events() {
    ask "$1" events --field-selector "involvedObject.kind=PersistentVolumeClaim,involvedObject.uid=$2" \
        -o 'jsonpath={range .items[*]}{.lastTimestamp}{"|"}{.reason}{"|"}{.message}{"\n"}{end}'
    # Messages may have lines of their own.
    printf '%s\n' "$answer" | grep '^[0-9][^|]*Z|' | sort -s -t '|' -k 1,1 >"$SCRATCH/claim-events" || true
}

# last_claim_event: the newest, for a message.
last_claim_event() {
    claim_event=$(tail -n 1 "$SCRATCH/claim-events")
    claim_event=${claim_event#*|}
    if [ -n "$claim_event" ]; then
        clean "${claim_event%%|*}: ${claim_event#*|}" 300
    else
        printf 'the cluster says nothing about it'
    fi
}

# binds_late: does its class wait for the pod that uses it?
binds_late() {
    grep -q -e '|WaitForFirstConsumer|' -e '|WaitForPodScheduled|' "$SCRATCH/claim-events"
}
