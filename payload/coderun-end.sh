# shellcheck shell=sh
# Asking the API server, and ending a CodeRun together with its pods. Needs task-messages.sh.
# Input: NAMESPACE, and for all but kube, ask and pauses CODERUN_RESOURCE CODERUN_VERSION POD_LABEL; optional POLL_SECONDS.
# An error of the API server never counts as "gone": reads are repeated until they succeed or the time is over.
# Every deletion names the UID that was looked at: a name that came again is another object, and is never hit.

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
        fail "Kubernetes: $(clean "$2" 120) still failed at the deadline: $(clean "$give_up_said" 300). Remedy: check the API server, then try again."
    fi
    poll_pause
}

# remove_object UNTIL RESOURCE NAME UID [PROPAGATION]: asks for a deletion and doesn't wait for it. RESOURCE is pods,
# persistentvolumeclaims or CODERUN_RESOURCE. `kubectl delete` knows no precondition, but it passes a body on with --raw.
remove_object() {
    case $2 in
        "$CODERUN_RESOURCE") remove_path=/apis/${2#*.}/$CODERUN_VERSION/namespaces/$NAMESPACE/${2%%.*}/$3 ;;
        *) remove_path=/api/v1/namespaces/$NAMESPACE/$2/$3 ;;
    esac
    remove_options="{\"preconditions\":{\"uid\":\"$4\"},\"propagationPolicy\":\"${5:-Background}\"}"
    until printf '%s' "$remove_options" | kube delete --raw "$remove_path" -f - >/dev/null 2>"$SCRATCH/kubectl-error"; do
        case $(cat "$SCRATCH/kubectl-error") in
            # Gone, or another of that name by now.
            *'(NotFound)'*'" not found'* | *'(Conflict)'*UID*) return 0 ;;
        esac
        give_up_or_pause "$1" "kubectl delete $2 $3"
    done
}

# end_pods UNTIL NAME/UID…: deletes pods and waits until each has ended or is gone.
end_pods() {
    end_pods_until=$1
    shift
    for pod in "$@"; do
        say "ending pod ${pod%/*}"
        remove_object "$end_pods_until" pods "${pod%/*}" "${pod#*/}"
    done
    for pod in "$@"; do
        while :; do
            ask "$end_pods_until" pods "${pod%/*}" --ignore-not-found -o 'jsonpath={.metadata.uid}{"|"}{.status.phase}'
            case $answer in
                "${pod#*/}|Succeeded" | "${pod#*/}|Failed") break ;;
                "${pod#*/}|"*) ;;
                *) break ;;
            esac
            if is_past "$end_pods_until"; then
                fail "pod ${pod%/*} has not ended in time. Remedy: check its node (kubectl -n $NAMESPACE describe pod ${pod%/*}); no other agent starts on this key while it may still write."
            fi
            poll_pause
        done
    done
}

# look_at_coderun UNTIL NAME UID: the UID of the CodeRun that has the name now, in $coderun_now, and the living pods of the one
# of that UID, "name/uid" each, in $coderun_pods. All pods of the label are its own, but for those of a namesake.
look_at_coderun() {
    ask "$1" "$CODERUN_RESOURCE" "$2" --ignore-not-found -o 'jsonpath={.metadata.uid}'
    coderun_now=$answer
    ask "$1" pods --selector "$POD_LABEL=$2" --field-selector 'status.phase!=Succeeded,status.phase!=Failed' \
        -o 'jsonpath={range .items[*]}{.metadata.name}{"|"}{.metadata.uid}{"|"}{.metadata.ownerReferences[*].uid}{"\n"}{end}'
    coderun_pods=
    [ -n "$answer" ] || return 0
    coderun_list=$answer
    # Asked again: a namesake may have been made, and its pod, before the pods were listed.
    ask "$1" "$CODERUN_RESOURCE" "$2" --ignore-not-found -o 'jsonpath={.metadata.uid}'
    while IFS='|' read -r pod_name pod_uid pod_owners; do
        if [ -n "$answer" ] && [ "$answer" != "$3" ]; then
            case " $pod_owners " in
                *" $3 "*) ;;
                *) continue ;;
            esac
        fi
        coderun_pods="$coderun_pods $pod_name/$pod_uid"
    done <<END
$coderun_list
END
}

# end_coderun UNTIL NAME UID: deletes the CodeRun and waits until it and all its pods are gone or ended.
end_coderun() {
    say "ending CodeRun $2"
    remove_object "$1" "$CODERUN_RESOURCE" "$2" "$3" Foreground
    while :; do
        look_at_coderun "$1" "$2" "$3"
        if [ "$coderun_now" != "$3" ]; then
            # Its controller may be down: what it left is ended here.
            # shellcheck disable=SC2086 # pods, one a word
            end_pods "$1" $coderun_pods
            return 0
        fi
        if is_past "$1"; then
            fail "CodeRun $2 is still there after its deletion was asked for (living pods: $(clean "${coderun_pods:-none}" 200)). Remedy: check that its controller runs (kubectl -n $NAMESPACE get $CODERUN_RESOURCE $2 -o yaml)."
        fi
        poll_pause
    done
}
