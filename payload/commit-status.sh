# shellcheck shell=sh
# The state of a run that an event has started, at its commit, where GitHub shows it in the pull request. Needs task-messages.sh.
# Input, all optional: ENTRYPOINT STATUS_API STATUS_CONTEXT STATUS_TOKEN_FILE STATUS_LINK. Nothing is told where no token is configured.

# commit_status OWNER REPO COMMIT STATE DESCRIPTION: STATE is pending, success, failure or error. Best effort: a run is worth more than the report
# on it. The token stands in a file for curl, never on a command line; redirects, which could carry it elsewhere, are not followed.
commit_status() {
    if [ "${ENTRYPOINT:-}" != coderun-event ] || [ -z "${STATUS_API:-}" ] || [ ! -s "${STATUS_TOKEN_FILE:-}" ]; then
        return 0
    fi
    if ! is_owner "$1" || ! is_repository "$2" || ! is_commit_id "$3"; then
        return 0
    fi
    status_text=$(clean "$5" 140 | sed 's/\\/\\\\/g; s/"/\\"/g')
    printf '{"state":"%s","context":"%s","description":"%s"%s}' "$4" "$STATUS_CONTEXT" "$status_text" \
        "${STATUS_LINK:+,\"target_url\":\"$STATUS_LINK\"}" >"$SCRATCH/status-body"
    (umask 077 && printf 'Authorization: Bearer %s\n' "$(cat "$STATUS_TOKEN_FILE")" >"$SCRATCH/status-header")
    status_code=$(curl --silent --max-time 20 --output "$SCRATCH/status-answer" --write-out '%{http_code}' --request POST \
        --header "@$SCRATCH/status-header" --header 'Accept: application/vnd.github+json' --header 'Content-Type: application/json' \
        --data-binary "@$SCRATCH/status-body" "$STATUS_API/repos/$1/$2/statuses/$3" </dev/null) || true
    rm -f "$SCRATCH/status-header"
    case $status_code in
        201) say "commit status: $4 at $3" ;;
        *) say "commit status: $4 was not taken by $STATUS_API (answer ${status_code:-none}: $(clean "$(cat "$SCRATCH/status-answer" 2>/dev/null)" 200)). Remedy: check events.apiUrl, and that the token of events.commitStatus may set commit statuses of $1/$2." ;;
    esac
}
