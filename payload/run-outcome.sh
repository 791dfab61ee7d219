# shellcheck shell=sh
# How a run that an event has started ended, as its commit's status. Needs task-messages.sh, coderun-end.sh, failed-step.sh and commit-status.sh.
# Input: NAMESPACE WORKFLOW_NAME WORKFLOW_STATUS (Succeeded, Failed or Error), and that of commit-status.sh.

# report_outcome UNTIL
# shellcheck disable=SC2154 # answer is set by ask
report_outcome() {
    if [ "${ENTRYPOINT:-}" != coderun-event ] || [ -z "${STATUS_API:-}" ]; then
        return 0
    fi
    # Whose head was never looked up: the commit that the event told of.
    ask "$1" workflows.argoproj.io "$WORKFLOW_NAME" --ignore-not-found \
        -o 'jsonpath={.spec.arguments.parameters[?(@.name=="owner")].value}{"|"}{.spec.arguments.parameters[?(@.name=="repo")].value}{"|"}{.status.outputs.parameters[?(@.name=="commit")].value}{"|"}{.spec.arguments.parameters[?(@.name=="headCommit")].value}{"|"}{.spec.shutdown}'
    IFS='|' read -r outcome_owner outcome_repo outcome_commit outcome_head outcome_shutdown <<END
$answer
END
    if [ "${WORKFLOW_STATUS:-}" = Succeeded ]; then
        commit_status "$outcome_owner" "$outcome_repo" "${outcome_commit:-$outcome_head}" success 'the agent has ended and succeeded'
        return 0
    fi
    failed_step "$1" "$WORKFLOW_NAME"
    outcome_state=failure
    outcome_text=${failed_step_said:-the run failed; see workflow $WORKFLOW_NAME}
    case $outcome_text in superseded:*) outcome_state=error ;; esac
    if [ -n "$outcome_shutdown" ]; then
        outcome_state=error
        outcome_text='the run was stopped'
    fi
    commit_status "$outcome_owner" "$outcome_repo" "${outcome_commit:-$outcome_head}" "$outcome_state" "$outcome_text"
}
