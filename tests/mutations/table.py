"""The mutations: one line each. A new guard in a script gets a line here."""

from typing import Final, NamedTuple

_INIT: Final = "tests/payload/test_init_worktree.py::"
_CLEANUP: Final = "tests/payload/test_cleanup.py::"
_FENCE: Final = "tests/payload/test_fence.py::"
_SHARED: Final = "tests/payload/test_what_is_shared.py::"
_SWEEP: Final = "tests/payload/test_sweep.py::"
_PRIVATE: Final = "tests/payload/test_private_git_folder.py::"
_MAINTAIN: Final = "tests/payload/test_maintain.py::"
_SUPERSEDING: Final = "tests/payload/test_superseding_run.py::"
_FILTER: Final = "tests/payload/test_event_filter.py::"
_CROWD: Final = "tests/soak/test_crowds.py::test_a_crowd[0]"


class Mutation(NamedTuple):
    """A guard that is taken out of a script.

    Attributes:
        name: What is then missing, or there.
        file: The script, in payload/.
        text: What is replaced; it must be there exactly once.
        replacement: What takes its place.
        test: The test that must turn red.
    """

    name: str
    file: str
    text: str
    replacement: str
    test: str


MUTATIONS: Final = (
    Mutation(
        "without flock", "base-lock.sh", 'until flock -n "$1"; do', "until true; do", f"{_INIT}test_twenty_at_once_on_a_cold_base_download_it_once"
    ),
    Mutation(
        "without a deadline for locks",
        "base-lock.sh",
        'if is_past "$take_lock_until"; then',
        "if false; then",
        f"{_INIT}test_a_lock_that_is_never_given_up_ends_the_task_in_time",
    ),
    Mutation(
        "without the second look at the commit",
        "init-worktree.sh",
        '    if ! has_commit "$COMMIT"; then',
        "    if true; then",
        f"{_SHARED}test_who_waited_for_a_fetch_of_its_own_commit_does_not_fetch_it_again",
    ),
    Mutation("with --depth in the clone", "init-worktree.sh", "git clone --bare --progress", "git clone --bare --depth=1 --progress", _CROWD),
    Mutation("with --depth in the fetch", "init-worktree.sh", " fetch --progress --no-tags", " fetch --depth=1 --progress --no-tags", _CROWD),
    Mutation(
        "with tracking branches",
        "init-worktree.sh",
        '--detach --no-checkout --lock --reason "$WORKFLOW_UID" "$TREE" "$COMMIT"',
        '--track -B "task/$TASK_ID" --no-checkout --lock --reason "$WORKFLOW_UID" "$TREE" refs/heads/main',
        f"{_SHARED}test_a_run_leaves_the_bases_own_refs_and_config_as_they_were[shared]",
    ),
    Mutation(
        "with worktree prune in cleanup",
        "task-removal.sh",
        "        remove_admin_folders\n",
        '        remove_admin_folders\n        git --git-dir="$BASE" worktree prune\n',
        f"{_SHARED}test_a_tree_that_cleanup_does_not_see_is_not_taken_for_gone[shared]",
    ),
    Mutation(
        "with prune in cleanup",
        "task-removal.sh",
        "    unlock_base\n    # Outside of the lock",
        '    git --git-dir="$BASE" gc --quiet --prune=now\n    unlock_base\n    # Outside of the lock',
        f"{_SHARED}test_cleanup_leaves_objects_to_maintenance",
    ),
    Mutation(
        "without the fence",
        "init-worktree.sh",
        "started=$(now)\nfence\n",
        "started=$(now)\n",
        f"{_FENCE}test_who_holds_the_key_still_goes_on[stopped-True]",
    ),
    Mutation(
        "without the fence for pods",
        "fence.sh",
        '    end_pods "$fence_until" $fence_ended\n\n    # 2.',
        "\n    # 2.",
        f"{_FENCE}test_who_holds_the_key_still_goes_on[stopped-True]",
    ),
    Mutation(
        "without the UID check of records",
        "cleanup.sh",
        '            "$WORKFLOW_UID$TAB"*) ;;',
        "            *) ;;",
        f"{_CLEANUP}test_touches_only_its_own",
    ),
    Mutation(
        "without the UID check of a removal",
        "task-removal.sh",
        '    [ "$(first_line "$RECORD")" = "$(printf \'%s\\t%s\\t%s\' "$WORKFLOW_UID" "$1" "$2")" ]',
        "    true",
        f"{_SWEEP}test_the_next_run_of_a_task_id_is_not_hit_by_a_sweep_that_saw_the_one_before",
    ),
    Mutation(
        "without the UID check of CodeRuns",
        "cleanup.sh",
        'if [ "${answer#*|}" = "$WORKFLOW_UID" ]; then',
        'if [ "$answer" != "" ]; then',
        f"{_CLEANUP}test_a_coderun_of_another_workflow_of_the_same_name_stays",
    ),
    Mutation(
        "without the UID check of admin folders",
        "task-removal.sh",
        '"gitdir:$tree/.git" | "locked:$uid") ;;',
        "gitdir:* | locked:*) ;;",
        f"{_CLEANUP}test_touches_only_its_own[shared]",
    ),
    Mutation(
        "without the UID in deletions",
        "coderun-end.sh",
        '\\"preconditions\\":{\\"uid\\":\\"$4\\"},',
        "",
        f"{_SWEEP}test_a_name_that_came_again_is_not_hit[step pod]",
    ),
    Mutation(
        "without the sweep's second look",
        "claim-leftovers.sh",
        'remove_task "$1" "$3" "$4" look_again "$2" "$1"',
        'remove_task "$1" "$3" "$4"',
        f"{_SWEEP}test_whatever_of_a_run_shows_at_the_second_look_keeps_it[workflow]",
    ),
    Mutation(
        "without a look at the record before work is kept",
        "kept-work.sh",
        '    record_is_ours "${kept_repo%%/*}" "${kept_repo#*/}" || return 1\n',
        "",
        f"{_SWEEP}test_the_next_run_of_a_task_id_is_not_hit_by_a_sweep_that_saw_the_one_before",
    ),
    Mutation(
        "without the second look before the pin",
        "init-worktree.sh",
        '    if ! [ -d "$BASE/objects" ] || ! scratch_git cat-file -e "$COMMIT" 2>/dev/null; then',
        "    if false; then",
        f"{_PRIVATE}test_a_base_that_is_evicted_before_the_commit_is_pinned_is_cloned_again",
    ),
    Mutation(
        "without a look at new pins before old objects are dropped",
        "maintain.sh",
        "if ! is_wanted_again; then",
        "if true; then",
        f"{_MAINTAIN}test_what_is_pinned_between_the_look_and_the_drop_stays",
    ),
    Mutation(
        "without a look whether a volume was asked for",
        "unbound-claims.sh",
        "    case $(last_claim_event) in WaitFor*) exit 2 ;; esac\n",
        "",
        "tests/payload/test_unbound_claims.py::test_others_are_left_alone[no node yet]",
    ),
    Mutation(
        "without the UID in the task's record",
        "init-worktree.sh",
        '    if [ "$(first_line "$RECORD")" != "$claim_line" ]; then',
        "    if false; then",
        f"{_INIT}test_one_task_id_is_one_runs",
    ),
    Mutation(
        "without a look for a newer run",
        "init-worktree.sh",
        '[ -z "$newer" ] || fail',
        "true || fail",
        f"{_SUPERSEDING}test_a_run_that_finds_a_newer_one_starts_nothing",
    ),
    Mutation(
        "without an order among runs of one second",
        "superseding-run.sh",
        ' || ($1 "" == made && $2 "" > name)',
        "",
        f"{_SUPERSEDING}test_of_two_runs_of_one_second_exactly_one_gives_way[run-2-True]",
    ),
    Mutation("without a window", "event-filter.lua", "    if age then", "    if false then", f"{_FILTER}test_one_event_a_window_and_pull_request"),
    Mutation(
        "without a look at the list of repositories in the filter",
        "event-filter.lua",
        'if not string.find("\\n" .. string.lower(repos), entry, 1, true) then',
        "if false then",
        f"{_FILTER}test_a_repository_that_is_added_passes_from_then_on",
    ),
    Mutation(
        "with runs of forks",
        "event-filter.lua",
        'if os.getenv("FORKS") ~= "run" and (',
        "if false and (",
        f"{_FILTER}test_refusals_and_their_reasons",
    ),
    Mutation(
        "with the token on a command line",
        "commit-status.sh",
        '--header "@$SCRATCH/status-header"',
        '--header "$(cat "$SCRATCH/status-header")"',
        "tests/payload/test_commit_status.py::test_the_token_is_on_no_command_line",
    ),
    Mutation(
        "without the end of a task with its batch",
        "batch-run.sh",
        'if [ "$stop_state" != "$WORKFLOW_UID|" ]; then',
        "if false; then",
        "tests/payload/test_batch.py::test_a_task_is_stopped_with_its_batch[Stop]",
    ),
)
