# shellcheck shell=sh
# Waiting for an object's phase. Needs task-messages.sh and coderun-end.sh.
# Input: NAMESPACE; optional POLL_SECONDS.

# watch_phase RESOURCE NAME PHASES SECONDS: returns when the object has reached one of PHASES (space separated), is gone, the watch broke off, or
# the time is over. What it saw is only a reason to look again. One kubectl that stays: one started every second took a fifteenth of a core for
# each agent that runs. It writes into a file and not into a pipe: a shell that blocks on reading one can sleep through a signal that came just
# before. A trap has to kill $watcher.
watch_phase() {
    : >"$SCRATCH/phases"
    timeout "$4" kubectl --namespace "$NAMESPACE" get "$1" "$2" --watch --output-watch-events \
        -o 'jsonpath={.type}{"|"}{.object.status.phase}{"\n"}' >"$SCRATCH/phases" 2>/dev/null </dev/null &
    watcher=$!
    while kill -0 "$watcher" 2>/dev/null; do
        poll_pause
        watched=$(tail -n 1 "$SCRATCH/phases")
        case $watched in DELETED*) break ;; esac
        case " $3 " in *" ${watched#*|} "*) break ;; esac
    done
    kill "$watcher" 2>/dev/null || true
    wait "$watcher" || true
}
