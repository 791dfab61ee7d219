# shellcheck shell=sh
# Asking the API server, watching an object, and ending a CodeRun together with its pods. Needs task-messages.sh.
# Input: NAMESPACE CODERUN_RESOURCE POD_LABEL; optional POLL_SECONDS.
# An error of the API server never counts as "gone": reads are repeated until they succeed or the time is over.

kube() {
    # Not kubectl's --request-timeout: with any setting of its own kubectl no longer finds the pod's service account
    # (client-go falls back to it only where the configuration is wholly empty), and asks localhost:8080.
    timeout 20 kubectl --namespace "$NAMESPACE" "$@"
}

poll_pause() {
    sleep "${POLL_SECONDS:-1}"
}

# ask UNTIL ARGUMENTS…: `kubectl get ARGUMENTS…`; the answer is left in $answer.
ask() {
    ask_until=$1
    shift
    until answer=$(kube get "$@" 2>"$SCRATCH/kubectl-error" </dev/null); do
        give_up_or_pause "$ask_until" "kubectl get $*"
    done
}

# give_up_or_pause UNTIL WHAT: after a failed kubectl; ends the step if asking again is of no use.
give_up_or_pause() {
    give_up_said=$(tail -n 2 "$SCRATCH/kubectl-error")
    case $give_up_said in
        *orbidden* | *'have a resource type'*)
            fail "Kubernetes: $(clean "$2" 120) failed: $(clean "$give_up_said" 300). Remedy: check that the stack's Role and CRDs are there (pulumi up)." ;;
    esac
    if is_past "$1"; then
        fail "Kubernetes: $(clean "$2" 120) still failed at the deadline: $(clean "$give_up_said" 300). Remedy: check the API server, then submit again."
    fi
    poll_pause
}

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

# living_pods UNTIL SELECTOR: names of pods that haven't ended, in $answer.
living_pods() {
    ask "$1" pods --selector "$2" --field-selector 'status.phase!=Succeeded,status.phase!=Failed' \
        -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}'
}

# remove_object UNTIL ARGUMENTS…: asks for a deletion and doesn't wait for it.
remove_object() {
    remove_until=$1
    shift
    until kube delete "$@" --ignore-not-found --wait=false >/dev/null 2>"$SCRATCH/kubectl-error" </dev/null; do
        give_up_or_pause "$remove_until" "kubectl delete $*"
    done
}

# end_pods UNTIL NAME…: deletes pods and waits until each has ended or is gone.
end_pods() {
    end_pods_until=$1
    shift
    for pod in "$@"; do
        say "ending pod $pod"
        remove_object "$end_pods_until" pod "$pod"
    done
    for pod in "$@"; do
        while :; do
            ask "$end_pods_until" pod "$pod" --ignore-not-found -o 'jsonpath={.status.phase}'
            case $answer in
                '' | Succeeded | Failed) break ;;
            esac
            if is_past "$end_pods_until"; then
                fail "pod $pod has not ended in time. Remedy: check its node (kubectl -n $NAMESPACE describe pod $pod); no other agent starts on this key while it may still write."
            fi
            poll_pause
        done
    done
}

# end_coderun UNTIL NAME: deletes the CodeRun and waits until it and all its pods are gone or ended.
end_coderun() {
    say "ending CodeRun $2"
    remove_object "$1" "$CODERUN_RESOURCE" "$2" --cascade=foreground
    while :; do
        ask "$1" "$CODERUN_RESOURCE" "$2" --ignore-not-found -o 'jsonpath={.metadata.name}'
        end_coderun_left=$answer
        living_pods "$1" "$POD_LABEL=$2"
        if [ -z "$end_coderun_left" ]; then
            # Its controller may be down: what it left is ended here.
            # shellcheck disable=SC2086 # pod names, one a word
            end_pods "$1" $answer
            return 0
        fi
        if is_past "$1"; then
            fail "CodeRun $2 is still there after its deletion was asked for (living pods: $(clean "${answer:-none}" 200)). Remedy: check that its controller runs (kubectl -n $NAMESPACE get $CODERUN_RESOURCE $2 -o yaml)."
        fi
        poll_pause
    done
}
