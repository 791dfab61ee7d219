# shellcheck shell=sh
# The fence: a stopped workflow gives its semaphore up at once while its agent goes on. So whoever gets the lock first
# ends what runs under the same key for workflows that no longer hold it. Needs task-messages.sh and coderun-end.sh.
# Input: NAMESPACE KEY WORKFLOW_NAME WORKFLOW_UID CODERUN_RESOURCE CODERUN_VERSION POD_LABEL FENCE_TIMEOUT_SECONDS.

# is_live_holder UNTIL WORKFLOW UID: does the workflow of that name and UID hold its lock now?
# shellcheck disable=SC2154 # answer is set by ask
is_live_holder() {
    if [ -z "$2" ] || [ -z "$3" ]; then
        return 1
    fi
    ask "$1" workflows.argoproj.io "$2" --ignore-not-found \
        -o 'jsonpath={.metadata.uid}{"|"}{.spec.shutdown}{"|"}{.status.phase}{"|"}{.status.compressedNodes}{"|"}{range .status.nodes.*}{.templateName}{"="}{.phase}{" "}{end}'
    case $answer in
        # Compressed nodes can't be read here (Argo does that above 1 MiB of status): taken for a holder, as ending a live run is worse.
        # A run that had to queue keeps its node at Pending while it works (seen with Argo 3.7.17); one that still queues has nothing to end.
        "$3||Running||"*'locked=Running '* | "$3||Running||"*'locked=Pending '* | "$3||Running|"[!\|]*) return 0 ;;
    esac
    return 1
}

# select_stale KIND: of the lines "name|object's uid|workflow|workflow's uid|key" in $answer, those of this key whose workflow
# no longer holds it, "name/uid" each, in $fence_ended.
select_stale() {
    fence_list=$answer
    fence_ended=
    while IFS='|' read -r fence_name fence_object fence_workflow fence_uid fence_key; do
        if [ "$fence_key" != "$KEY" ] || [ "$fence_uid" = "$WORKFLOW_UID" ] ||
            is_live_holder "$fence_until" "$fence_workflow" "$fence_uid"; then
            continue
        fi
        say "fence: $1 $fence_name belongs to workflow $fence_workflow, which no longer holds $KEY"
        fence_ended="$fence_ended $fence_name/$fence_object"
    done <<END
$fence_list
END
}

fence() {
    fence_until=$(($(now) + FENCE_TIMEOUT_SECONDS))

    # 1. Step pods that could still apply a CodeRun after we have looked.
    ask "$fence_until" pods --selector coderun/step=create-coderun \
        --field-selector 'status.phase!=Succeeded,status.phase!=Failed' \
        -o 'jsonpath={range .items[*]}{.metadata.name}{"|"}{.metadata.uid}{"|"}{.metadata.labels['"'workflows\.argoproj\.io/workflow'"']}{"|"}{.metadata.ownerReferences[0].uid}{"|"}{.metadata.annotations['"'coderun/semaphore-key'"']}{"\n"}{end}'
    select_stale pod
    # shellcheck disable=SC2086 # pods, one a word
    end_pods "$fence_until" $fence_ended

    # 2. CodeRuns of this key.
    ask "$fence_until" "$CODERUN_RESOURCE" \
        -o 'jsonpath={range .items[*]}{.metadata.name}{"|"}{.metadata.uid}{"|"}{.metadata.labels.workflow}{"|"}{.metadata.labels['"'coderun/workflow-uid'"']}{"|"}{.metadata.annotations['"'coderun/semaphore-key'"']}{"\n"}{end}'
    select_stale CodeRun
    for fence_object in $fence_ended; do
        end_coderun "$fence_until" "${fence_object%/*}" "${fence_object#*/}"
    done

    # 3. Pods that outlived their CodeRun; of any key, as the pod doesn't tell it. Pods are listed before CodeRuns:
    # a CodeRun that is missing from the later list can't have been made in between.
    fence_label=$(printf '%s' "$POD_LABEL" | sed 's/\./\\./g')
    ask "$fence_until" pods --selector "$POD_LABEL" --field-selector 'status.phase!=Succeeded,status.phase!=Failed' \
        -o 'jsonpath={range .items[*]}{.metadata.name}{"|"}{.metadata.uid}{"|"}{.metadata.labels['"'$fence_label'"']}{"\n"}{end}'
    fence_list=$answer
    ask "$fence_until" "$CODERUN_RESOURCE" -o 'jsonpath={range .items[*]}{.metadata.name}{" "}{end}'
    fence_coderuns=" $answer "
    fence_ended=
    while IFS='|' read -r fence_name fence_object fence_coderun; do
        case $fence_coderuns in
            *" $fence_coderun "*) continue ;;
        esac
        if [ -n "$fence_name" ]; then
            say "fence: pod $fence_name outlived its CodeRun $fence_coderun"
            fence_ended="$fence_ended $fence_name/$fence_object"
        fi
    done <<END
$fence_list
END
    # shellcheck disable=SC2086 # pods, one a word
    end_pods "$fence_until" $fence_ended
}
