# shellcheck shell=sh
# shellcheck disable=SC2154,SC2034,SC2016,SC2020 # set or used by the files that this one is joined with; awk's programs; tr's sets
# Which runs are gone, as the API server tells, and the end of what they left running. Needs task-messages.sh and coderun-end.sh.
# Input: NAMESPACE CODERUN_RESOURCE CODERUN_VERSION POD_LABEL FENCE_TIMEOUT_SECONDS; optional LOOK_SECONDS. sweep_until is set.
# Uses removed, kept, failed and attempt of sweep.sh.
#
# A run is gone when there is no unfinished workflow of its UID, no CodeRun that carries it and no living pod of either. A finished workflow, a missing one,
# a missing step, CodeRun or agent each stay so once the one before it has ended, so whoever is looked at in this order is proved gone.
# Lists are read the other way round, what was made before what made it, so that whatever is listed has its maker listed too.

LOOK_SECONDS=${LOOK_SECONDS:-30} # how long one look at the API server may be repeated while a lock is held

# list_living: the living pods, then the CodeRuns. One line each in $SCRATCH/pods and $SCRATCH/coderuns.
list_living() {
    living_label=$(printf '%s' "$POD_LABEL" | sed 's/\./\\./g')
    ask "$sweep_until" pods --field-selector 'status.phase!=Succeeded,status.phase!=Failed' \
        -o 'jsonpath={range .items[*]}{.metadata.name}{"|"}{.metadata.uid}{"|"}{.metadata.labels['"'coderun/workflow-uid'"']}{"|"}{.metadata.labels['"'$living_label'"']}{"|"}{.metadata.labels['"'workflows\.argoproj\.io/workflow'"']}{"|"}{.metadata.labels['"'app\.kubernetes\.io/part-of'"']}{"|"}{.metadata.ownerReferences[*].uid}{"|"}{.spec.containers[*].volumeMounts[*].subPath}{"\n"}{end}'
    printf '%s\n' "$answer" >"$SCRATCH/pods"
    ask "$sweep_until" "$CODERUN_RESOURCE" \
        -o 'jsonpath={range .items[*]}{.metadata.name}{"|"}{.metadata.uid}{"|"}{.metadata.labels['"'coderun/workflow-uid'"']}{"\n"}{end}'
    printf '%s\n' "$answer" >"$SCRATCH/coderuns"
    # One string each, for `case`: a program a look would take seconds with hundreds of runs.
    pod_uids=$(words '{ print $2 }' "$SCRATCH/pods")
    run_uids=$(words '{ print $3, $7 }' "$SCRATCH/pods")
    mounted=$(words '{ print $8 }' "$SCRATCH/pods")
    coderun_names=$(words '{ print $1 }' "$SCRATCH/coderuns")
    coderun_uids=$(words '{ print $2 }' "$SCRATCH/coderuns")
    coderun_runs=$(words '{ print $3 }' "$SCRATCH/coderuns")
}

# words AWK-PROGRAM FILE: what it prints, with a space before and after each word.
words() {
    printf ' %s ' "$(awk -F '|' "$1" "$2" | tr '\n' ' ')"
}

# list_own_claims: claims of runs, in $SCRATCH/claims.
list_own_claims() {
    ask "$sweep_until" persistentvolumeclaims --selector coderun/workflow-uid \
        -o 'jsonpath={range .items[*]}{.metadata.name}{"|"}{.metadata.uid}{"|"}{.metadata.labels['"'coderun/workflow-uid'"']}{"|"}{.metadata.deletionTimestamp}{"|"}{.status.phase}{"\n"}{end}'
    printf '%s\n' "$answer" >"$SCRATCH/claims"
}

# list_unfinished_workflows: their UIDs in $unfinished. A workflow takes 100 KB and more with the scripts in it, so they are not read into memory as kubectl
# does for a JSONPath, but searched as they come. Within a JSON text quotes are escaped, so nothing that a user wrote looks like a field.
# Fields of that name elsewhere in a workflow (its owner's) only make the list longer.
list_unfinished_workflows() {
    list_path="/apis/argoproj.io/v1alpha1/namespaces/$NAMESPACE/workflows?labelSelector=workflows.argoproj.io%2Fcompleted%21%3Dtrue"
    while :; do
        rm -f "$SCRATCH/list-failed"
        { timeout 120 kubectl --namespace "$NAMESPACE" get --raw "$list_path" 2>"$SCRATCH/kubectl-error" </dev/null || : >"$SCRATCH/list-failed"; } |
            tr ',{' '\n\n' | sed -n -e 's/^ *"uid": *"\([A-Za-z0-9-]*\)".*/\1/p' -e 's/^ *"kind": *"WorkflowList".*/list/p' >"$SCRATCH/workflows"
        if [ ! -e "$SCRATCH/list-failed" ] && grep -q -x list "$SCRATCH/workflows"; then
            break
        fi
        give_up_or_pause "$sweep_until" "kubectl get --raw $list_path"
    done
    unfinished=$(words '{ print $1 }' "$SCRATCH/workflows")
}

# is_listed UID TASKID: is there anything of this run in the lists? What, in $listed. Either may be empty.
is_listed() {
    if [ -n "$1" ]; then
        case $unfinished in *" $1 "*) listed="its workflow is unfinished" && return 0 ;; esac
        case $coderun_runs in *" $1 "*) listed="its CodeRun is there" && return 0 ;; esac
        case $run_uids in *" $1 "*) listed="a pod of it lives" && return 0 ;; esac
    fi
    if [ -n "$2" ]; then
        case $mounted in *" trees/$2 "*) listed="a living pod mounts its tree" && return 0 ;; esac
    fi
    return 1
}

# look_again UID TASKID: the look that counts, just before something is removed. Either may be empty. Returns 1 if the run is not gone, with
# what was seen in $looked; else $looked says how its workflow ended.
look_again() {
    look_until=$(($(now) + LOOK_SECONDS))
    looked='no workflow of its UID is there'
    if [ -n "$1" ]; then
        ask "$look_until" "workflows.argoproj.io,pods,$CODERUN_RESOURCE" --selector "coderun/workflow-uid=$1" \
            -o 'jsonpath={range .items[*]}{.kind}{"|"}{.metadata.name}{"|"}{.status.phase}{"\n"}{end}'
        while IFS='|' read -r look_kind look_name look_phase; do
            case $look_kind:$look_phase in
                : | Pod:Succeeded | Pod:Failed) ;;
                Workflow:Succeeded | Workflow:Failed | Workflow:Error) looked="workflow $look_name ended as $look_phase" ;;
                *)
                    looked="$look_kind $look_name is there${look_phase:+ ($look_phase)}"
                    return 1
                    ;;
            esac
        done <<END
$answer
END
    fi
    [ -n "$2" ] || return 0
    # Agents' pods need not carry the UID, but each mounts its tree.
    ask "$look_until" pods --selector "$POD_LABEL" --field-selector 'status.phase!=Succeeded,status.phase!=Failed' \
        -o 'jsonpath={range .items[*]}{.metadata.name}{"|"}{.spec.containers[*].volumeMounts[*].subPath}{"\n"}{end}'
    while IFS='|' read -r look_name look_mounts; do
        case " $look_mounts " in
            *" trees/$2 "*)
                looked="Pod $look_name mounts trees/$2"
                return 1
                ;;
        esac
    done <<END
$answer
END
}

# look_for_workflow UID: is there still no unfinished workflow of it? For what is ended by itself and not with the task.
look_for_workflow() {
    ask "$(($(now) + LOOK_SECONDS))" workflows.argoproj.io --selector "coderun/workflow-uid=$1,workflows.argoproj.io/completed!=true" -o 'jsonpath={.items[*].metadata.name}'
    [ -z "$answer" ]
}

# end_step_pod NAME UID RUN
end_step_pod() (
    look_for_workflow "$3" || exit 2
    remove_object "$sweep_until" pods "$1" "$2"
    removed pods "pod $1: step of a run without an unfinished workflow ($3)"
)

# end_agent_pod NAME UID CODERUN
end_agent_pod() (
    ask "$(($(now) + LOOK_SECONDS))" "$CODERUN_RESOURCE" "$3" --ignore-not-found -o 'jsonpath={.metadata.uid}'
    [ -z "$answer" ] || exit 2
    remove_object "$sweep_until" pods "$1" "$2"
    removed pods "pod $1: it outlived its CodeRun $3"
)

# end_coderun_of NAME UID RUN
end_coderun_of() (
    look_for_workflow "$3" || exit 2
    remove_object "$sweep_until" "$CODERUN_RESOURCE" "$1" "$2" Foreground
    removed coderuns "CodeRun $1: its workflow is not unfinished any more ($3)"
)

# end_dead_runs: steps that could still apply a CodeRun, CodeRuns, and agents' pods that outlived theirs; all are asked to go, then all are waited for.
end_dead_runs() {
    dying_pods=
    dying_coderuns=
    while IFS='|' read -r pod_name pod_uid _ pod_coderun pod_workflow pod_part pod_owners _; do
        pod_run=${pod_owners%% *}
        if [ -n "$pod_workflow" ] && [ "$pod_part" = coderun ] && [ -n "$pod_run" ]; then
            case $unfinished in *" $pod_run "*) continue ;; esac
            attempt "pod $pod_name" end_step_pod "$pod_name" "$pod_uid" "$pod_run"
        elif [ -n "$pod_coderun" ]; then
            case $coderun_names in *" $pod_coderun "*) continue ;; esac
            attempt "pod $pod_name" end_agent_pod "$pod_name" "$pod_uid" "$pod_coderun"
        else
            continue
        fi
        [ "$attempted" -ne 0 ] || dying_pods="$dying_pods $pod_name/$pod_uid"
    done <"$SCRATCH/pods"
    while IFS='|' read -r coderun_name coderun_uid coderun_run; do
        [ -n "$coderun_run" ] || continue
        case $unfinished in *" $coderun_run "*) continue ;; esac
        attempt "CodeRun $coderun_name" end_coderun_of "$coderun_name" "$coderun_uid" "$coderun_run"
        [ "$attempted" -ne 0 ] || dying_coderuns="$dying_coderuns $coderun_name/$coderun_uid"
    done <"$SCRATCH/coderuns"
    wait_for_dying
}

# wait_for_dying: no tree goes before these have ended. What doesn't end in time is named, and its run is not taken for gone.
wait_for_dying() {
    [ -n "$dying_pods$dying_coderuns" ] || return 0
    dying_until=$(($(now) + FENCE_TIMEOUT_SECONDS))
    while :; do
        list_living
        still=
        for dying in $dying_coderuns; do
            case $coderun_uids in
                *" ${dying#*/} "*) still="$still CodeRun ${dying%/*}," ;;
                # Its controller may be down: what it left is ended here.
                *) end_pods_left_by "${dying%/*}" "${dying#*/}" ;;
            esac
        done
        for dying in $dying_pods; do
            case $pod_uids in *" ${dying#*/} "*) still="$still pod ${dying%/*}," ;; esac
        done
        [ -n "$still" ] || return 0
        if is_past "$dying_until" || is_past "$sweep_until"; then
            failed "$(clean "${still% }" 400) not ended after $FENCE_TIMEOUT_SECONDS s (look at the node of the pod, and that the CodeRun controller runs)"
            return 0
        fi
        poll_pause
    done
}

# end_pods_left_by CODERUN UID: living pods of a CodeRun that is gone, but for those of a namesake.
end_pods_left_by() {
    case $coderun_names in *" $1 "*) left_namesake=yes ;; *) left_namesake=no ;; esac
    while IFS='|' read -r pod_name pod_uid _ pod_coderun _ _ pod_owners _; do
        [ "$pod_coderun" = "$1" ] || continue
        case "$left_namesake: $pod_owners " in
            no:*) ;;
            *" $2 "*) ;;
            *) continue ;;
        esac
        case " $dying_pods " in *" $pod_name/$pod_uid "*) continue ;; esac
        remove_object "$sweep_until" pods "$pod_name" "$pod_uid"
        removed pods "pod $pod_name: it outlived its CodeRun $1"
        dying_pods="$dying_pods $pod_name/$pod_uid"
    done <"$SCRATCH/pods"
}

# remove_claim NAME UID RUN
remove_claim() (
    look_again "$3" '' || exit 2
    remove_object "$sweep_until" persistentvolumeclaims "$1" "$2"
    removed claims "claim $1: $looked ($3), no CodeRun and no pod of it lives"
)

# remove_dead_claims: asks for their deletion; a claim goes when no pod's object names it any more.
remove_dead_claims() {
    while IFS='|' read -r claim_name claim_uid claim_run claim_deleted _; do
        [ -n "$claim_run" ] || continue
        if is_listed "$claim_run" ''; then
            kept_as_expected
        elif [ -n "$claim_deleted" ]; then
            kept "claim $claim_name: its deletion was asked for at $claim_deleted, and something still uses it"
        else
            attempt "claim $claim_name" remove_claim "$claim_name" "$claim_uid" "$claim_run"
        fi
    done <"$SCRATCH/claims"
}
