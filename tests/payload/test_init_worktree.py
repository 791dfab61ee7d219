"""init-worktree: one base, many trees, each at its commit."""

from pathlib import Path

import pytest

from tests.fixtures.git_server import GitServer
from tests.fixtures.git_server.repositories import git
from tests.fixtures.git_server.state import Fault
from tests.payload.steps import BOTH_GIT_FOLDERS, OWNER, REPO, Bench, held_lock, uid

NAME = f"{OWNER}/{REPO}"
ABSENT = "0123456789abcdef0123456789abcdef01234567"


def commit_upstream(upstream: Path, ref: str, text: str) -> str:
    """Puts a commit that no base can have upon a ref of the server."""
    stream = f"commit {ref}\ncommitter A <a@example.org> 1700000000 +0000\ndata 1\nx\nM 100644 inline new.txt\ndata {len(text)}\n{text}\n"
    git(upstream, "fast-import", "--quiet", "--force", stdin=stream.encode())
    return git(upstream, "rev-parse", ref)


def corrupt(base: Path, path: str) -> None:
    """Takes one file's content out of a base, as an interrupted write could."""
    blob = git(base, "rev-parse", f"HEAD:{path}")
    packs = list((base / "objects" / "pack").glob("pack-*.pack"))
    contents = [pack.read_bytes() for pack in packs]
    for pack in packs:
        for part in base.glob(f"objects/pack/{pack.stem}.*"):
            part.unlink()
    for content in contents:
        git(base, "unpack-objects", "-q", stdin=content)
    (base / "objects" / blob[:2] / blob[2:]).unlink()


@BOTH_GIT_FOLDERS
def test_twenty_at_once_on_a_cold_base_download_it_once(bench: Bench, server: GitServer, upstream: Path) -> None:
    probe = Bench(bench.folder / "probe", server.url)
    probe.init().assert_succeeded()
    one_clone = server.bytes_sent(NAME)
    branches = ["refs/heads/main", "refs/heads/fail", "refs/heads/gate/a", "refs/tags/v1.0"]
    steps = [bench.start("init-worktree", number, REF=branches[number % 4]) for number in range(20)]
    for step in steps:
        step.outcome().assert_succeeded()
    for number in range(20):
        assert bench.head(f"task-{number}") == git(upstream, "rev-parse", f"{branches[number % 4]}^{{commit}}")
        assert bench.status(f"task-{number}") == ""
        assert git(bench.base(), "rev-parse", f"refs/coderun/task-{number}") == bench.head(f"task-{number}")
        assert (bench.admin(f"task-{number}") / "locked").read_text().strip() == uid(number)
    # Each asked for its ref's commit as well; that is what the tenth more is for.
    assert server.state.counters(NAME).clones == 2
    assert server.bytes_sent(NAME) - one_clone <= one_clone * 1.1 + 20 * 1000
    bench.assert_sound()
    assert not bench.base().with_name("sample.staging").exists()


@pytest.mark.parametrize("ref", ["refs/heads/gate/a", "refs/tags/v1.0", "refs/pull/7/head", "commit", "commit of a pull request"])
def test_every_kind_of_ref(bench: Bench, upstream: Path, ref: str) -> None:
    wanted = git(upstream, "rev-parse", {"commit": "refs/heads/main~3", "commit of a pull request": "refs/pull/7/head"}.get(ref, f"{ref}^{{commit}}"))
    bench.init(REF=wanted if ref.startswith("commit") else ref).assert_succeeded()
    assert bench.head("task-1") == wanted
    assert bench.status("task-1") == ""
    out = bench.folder / "out" / "init-worktree-1"
    assert (out / "workspace_path").read_text() == str(bench.tree("task-1"))
    assert (out / "commit").read_text() == wanted


def test_a_present_commit_costs_no_objects_and_no_lock_of_fetches(bench: Bench, server: GitServer, upstream: Path) -> None:
    bench.init().assert_succeeded()
    # The tag itself is not in the base, what it names is.
    git(upstream, "-c", "user.name=a", "-c", "user.email=a@example.org", "tag", "-m", "x", "new", "main~2")
    before = server.state.counters(NAME)
    with held_lock(bench.base().with_name("sample.fetch.lock")):
        bench.init(2).assert_succeeded()
        bench.init(3, REF=git(upstream, "rev-parse", "refs/heads/main~2"), LOCK_TIMEOUT_SECONDS="1").assert_succeeded()
        bench.init(4, REF="refs/tags/new", LOCK_TIMEOUT_SECONDS="1").assert_succeeded()
    after = server.state.counters(NAME)
    assert (after.clones, after.fetches) == (before.clones, before.fetches)
    # The third asked nothing at all.
    assert after.ref_listings == before.ref_listings + 2


def test_a_new_commit_is_fetched_once_and_alone(bench: Bench, server: GitServer, upstream: Path) -> None:
    bench.init().assert_succeeded()
    clone = server.bytes_sent(NAME)
    wanted = commit_upstream(upstream, "refs/heads/new", "new")
    outcomes = [step.outcome() for step in [bench.start("init-worktree", number, REF="refs/heads/new") for number in range(2, 6)]]
    for outcome in outcomes:
        outcome.assert_succeeded()
    assert {bench.head(f"task-{number}") for number in range(2, 6)} == {wanted}
    # One says so, and the server saw the two requests of one negotiation at most.
    assert sum(f"commit {wanted}: fetched" in outcome.output for outcome in outcomes) == 1
    assert server.state.counters(NAME).fetches <= 2
    assert server.bytes_sent(NAME) - clone < clone / 2
    assert not (bench.base() / "shallow").exists()
    assert not (bench.base() / "FETCH_HEAD").exists()


def test_the_refs_commit_is_that_of_the_moment_of_init(bench: Bench, upstream: Path) -> None:
    bench.init(1, REF="refs/heads/fail").assert_succeeded()
    wanted = commit_upstream(upstream, "refs/heads/fail", "forced")
    bench.init(2, REF="refs/heads/fail").assert_succeeded()
    assert bench.head("task-2") == wanted
    assert bench.head("task-1") != wanted


def test_a_force_push_between_the_two_requests_is_followed(bench: Bench, server: GitServer, upstream: Path) -> None:
    bench.init().assert_succeeded()
    lost = commit_upstream(upstream, "refs/heads/race", "lost")
    server.state.set_fault(NAME, Fault(stall="fetch"))
    step = bench.start("init-worktree", 2, REF="refs/heads/race")
    server.state.wait_for_counters(NAME, lambda counters: counters.stalled == 1)
    wanted = commit_upstream(upstream, "refs/heads/race", "kept")
    git(upstream, "gc", "--quiet", "--prune=now")
    server.state.set_fault(NAME, Fault())
    outcome = step.outcome()
    outcome.assert_succeeded()
    assert bench.head("task-2") == wanted != lost
    assert "looking again" in outcome.output


def test_a_commit_that_the_server_no_longer_has_is_an_error_of_its_own(bench: Bench) -> None:
    bench.init(REF=ABSENT).assert_refused("parameter ref: ", ABSENT, "no longer on the server")


def test_an_id_that_names_no_commit_is_refused_and_a_tags_is_followed(bench: Bench, upstream: Path) -> None:
    bench.init(1, REF=git(upstream, "rev-parse", "refs/heads/main:README.md")).assert_refused("parameter ref: ", "does not name a commit")
    bench.init(2, REF=git(upstream, "rev-parse", "refs/tags/v1.0")).assert_succeeded()
    assert (bench.folder / "out" / "init-worktree-2" / "commit").read_text() == git(upstream, "rev-parse", "v1.0^{commit}")


def test_a_missing_ref_is_refused(bench: Bench, upstream: Path) -> None:
    # ls-remote itself takes the end of a name for the name.
    git(upstream, "update-ref", "refs/heads/refs/heads/x", "main")
    bench.init(REF="refs/heads/x").assert_refused("parameter ref: 'refs/heads/x' does not exist in 'exampleorg/sample'")


def test_a_missing_repository_is_refused(bench: Bench) -> None:
    bench.init(REPO="nosuch").assert_refused("parameter repo: ", "'exampleorg/nosuch' is not found")


def test_a_server_that_is_away_is_named(bench: Bench) -> None:
    bench.init(GIT_SERVER="http://127.0.0.1:9").assert_refused("git server 'http://127.0.0.1:9' can't be reached", "git.server")


@pytest.mark.parametrize(("status", "words"), [(403, "refused access"), (503, "can't be reached")])
def test_a_server_that_refuses_is_named(bench: Bench, server: GitServer, status: int, words: str) -> None:
    server.state.set_fault(NAME, Fault(refuse=status))
    bench.init().assert_refused(words, "'exampleorg/sample'")


def test_a_server_that_stalls_fails_its_task_in_time(bench: Bench, server: GitServer, upstream: Path) -> None:
    bench.init().assert_succeeded()
    commit_upstream(upstream, "refs/heads/new", "new")
    server.state.set_fault(NAME, Fault(stall="fetch"))
    bench.init(2, REF="refs/heads/new", LOW_SPEED_SECONDS="1").assert_refused("stalled", "'exampleorg/sample'", "git.lowSpeedSeconds")
    server.state.set_fault(NAME, Fault())
    bench.init(3, REF="refs/heads/new").assert_succeeded()


def test_a_server_that_stalls_holds_up_only_who_needs_it(bench: Bench, server: GitServer, upstream: Path) -> None:
    bench.init().assert_succeeded()
    present = git(upstream, "rev-parse", "refs/heads/main~2")
    commit_upstream(upstream, "refs/heads/new", "new")
    server.state.set_fault(NAME, Fault(stall="fetch"))
    stalled = bench.start("init-worktree", 2, REF="refs/heads/new", LOW_SPEED_SECONDS="600")
    server.state.wait_for_counters(NAME, lambda counters: counters.stalled == 1)
    # While the stalled one holds the lock of fetches: who has its commit goes on, who needs another waits for a time of its own.
    bench.init(3, REF=present, LOCK_TIMEOUT_SECONDS="1").assert_succeeded()
    bench.init(4).assert_succeeded()
    bench.init(5, REF="refs/pull/7/head", LOCK_TIMEOUT_SECONDS="0").assert_refused("another task has been downloading for more than 0 s")
    assert stalled.process.poll() is None
    stalled.lose_pod()
    server.state.set_fault(NAME, Fault())
    bench.init(6, REF="refs/heads/new").assert_succeeded()


def test_a_stall_of_the_first_clone_leaves_nothing_half_made(bench: Bench, server: GitServer) -> None:
    server.state.set_fault(NAME, Fault(stall="fetch"))
    bench.init(LOW_SPEED_SECONDS="1").assert_refused("stalled")
    assert not bench.base().exists()
    server.state.set_fault(NAME, Fault())
    bench.init().assert_succeeded()
    bench.assert_sound()


def test_the_loss_of_the_pod_during_the_first_clone_leaves_no_base(bench: Bench, server: GitServer) -> None:
    server.state.set_fault(NAME, Fault(stall="fetch"))
    lost = bench.start("init-worktree")
    server.state.wait_for_counters(NAME, lambda counters: counters.stalled == 1)
    lost.lose_pod()
    assert not bench.base().exists()
    assert bench.base().with_name("sample.staging").exists()
    server.state.set_fault(NAME, Fault())
    bench.init().assert_succeeded()
    assert not bench.base().with_name("sample.staging").exists()
    bench.assert_sound()


def test_a_lock_that_is_never_given_up_ends_the_task_in_time(bench: Bench) -> None:
    bench.init().assert_succeeded()
    with held_lock(bench.base().with_name("sample.lock")):
        bench.init(2, LOCK_TIMEOUT_SECONDS="0").assert_refused("lock of the base", "git.lockTimeoutSeconds")
    bench.init(2).assert_succeeded()


@pytest.mark.parametrize("command", ["clone", "read-tree"])
def test_a_full_disk_is_said_to_be_full(bench: Bench, command: str) -> None:
    git_program = bench.cluster.folder / "bin" / "git"
    git_program.write_text(
        f'#!/bin/sh\nfor word; do if [ "$word" = {command} ]; then echo "fatal: write error: No space left on device" >&2; exit 128; fi; done\n'
        f'PATH=${{PATH#*:}} exec git "$@"\n',
    )
    git_program.chmod(0o755)
    bench.init().assert_refused("the claim is full", "storage.shared.size")


def test_one_task_id_is_one_runs(bench: Bench) -> None:
    bench.init(1, TASK_ID="shared").assert_succeeded()
    (bench.tree("shared") / "work.txt").write_text("unsaved")
    bench.init(2, TASK_ID="shared").assert_refused("parameter taskId: 'shared' is in use by another run")
    bench.cleanup(2).assert_succeeded()
    assert (bench.tree("shared") / "work.txt").read_text() == "unsaved"
    assert bench.status("shared") == "?? work.txt\n"
    bench.cleanup(1).assert_succeeded()
    bench.init(2, TASK_ID="shared").assert_succeeded()


def test_one_task_id_asked_for_at_once_is_given_once(bench: Bench) -> None:
    outcomes = [step.outcome() for step in [bench.start("init-worktree", number, TASK_ID="shared") for number in range(8)]]
    winners = [number for number, outcome in enumerate(outcomes) if outcome.code == 0]
    assert len(winners) == 1
    assert (bench.base_root / ".tasks" / "shared").read_text() == f"{uid(winners[0])}\texampleorg\tsample\n"
    for number, outcome in enumerate(outcomes):
        if number not in winners:
            outcome.assert_refused("parameter taskId: ")
    assert list((bench.base_root / ".tasks").iterdir()) == [bench.base_root / ".tasks" / "shared"]
    assert bench.status("shared") == ""


def test_a_folder_that_belongs_to_no_run_is_left_alone(bench: Bench) -> None:
    bench.tree("task-1").mkdir()
    (bench.tree("task-1") / "precious").write_text("kept")
    bench.init().assert_refused("parameter taskId: ", "belongs to no run")
    bench.cleanup().assert_succeeded()
    assert (bench.tree("task-1") / "precious").read_text() == "kept"


@BOTH_GIT_FOLDERS
def test_a_retry_of_the_same_run_begins_afresh(bench: Bench) -> None:
    bench.init().assert_succeeded()
    (bench.tree("task-1") / "README.md").write_text("half a checkout")
    bench.init().assert_succeeded()
    assert bench.status("task-1") == ""
    assert [path.name for path in bench.admin("task-1").parent.iterdir()] == ["task-1"]
    bench.assert_sound()


@BOTH_GIT_FOLDERS
@pytest.mark.parametrize("after", ["record", "clone", "add"])
def test_a_retry_after_the_loss_of_the_pod_converges(bench: Bench, after: str) -> None:
    tasks = bench.base_root / ".tasks"
    if after == "add":
        bench.init().assert_succeeded()
        # As `worktree add` leaves it when it is killed: locked and little more.
        for name in ("gitdir", "HEAD", "commondir", "index"):
            (bench.admin("task-1") / name).unlink()
    else:
        (tasks / "task-1").write_text(f"{uid(1)}\texampleorg\tsample\n")
        (tasks / f".claim-{uid(1)}").write_text("")
    if after == "clone":
        (bench.base().with_name("sample.staging") / "objects").mkdir(parents=True)
    bench.init().assert_succeeded()
    assert bench.status("task-1") == ""
    bench.assert_sound()
    bench.cleanup().assert_succeeded()
    assert bench.leftovers() == []


def test_a_base_with_a_missing_object_is_mended(bench: Bench) -> None:
    bench.init().assert_succeeded()
    corrupt(bench.base(), "README.md")
    outcome = bench.init(2)
    outcome.assert_succeeded()
    assert "fetching all objects again" in outcome.output
    assert bench.status("task-2") == ""
    bench.assert_sound()


@BOTH_GIT_FOLDERS
def test_what_an_agent_plants_in_the_base_does_not_run_in_the_steps(bench: Bench, server: GitServer, upstream: Path) -> None:
    bench.init().assert_succeeded()
    evil = bench.folder / "evil.sh"
    evil.write_text(f"#!/bin/sh\nenv >>{bench.folder}/ran\n")
    evil.chmod(0o755)
    hooks = bench.base() / "hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("post-checkout", "reference-transaction", "post-index-change", "pre-auto-gc"):
        (hooks / hook).symlink_to(evil)
    settings = {
        "core.hooksPath": hooks,
        "core.fsmonitor": evil,
        "core.askPass": evil,
        "core.alternateRefsCommand": evil,
        "credential.helper": f"!{evil}",
        "filter.evil.smudge": evil,
        "filter.evil.process": evil,
        "http.proxy": "http://127.0.0.1:9",
        "url.http://127.0.0.1:9/.insteadOf": server.url,
        "remote.origin.url": f"ext::{evil}",
    }
    for key, value in settings.items():
        git(bench.base(), "config", key, str(value))
    (bench.base() / "info").mkdir(exist_ok=True)
    (bench.base() / "info" / "attributes").write_text("* filter=evil\n")
    wanted = commit_upstream(upstream, "refs/heads/new", "new")
    bench.init(2, REF="refs/heads/new").assert_succeeded()
    assert (bench.tree("task-2") / "new.txt").read_text() == "new"
    assert git(bench.base(), "rev-parse", "refs/coderun/task-2") == wanted
    bench.cleanup(2).assert_succeeded()
    bench.cleanup(1).assert_succeeded()
    assert not (bench.folder / "ran").exists()


@pytest.mark.parametrize(
    ("parameter", "variable", "value"),
    [
        ("owner", "OWNER", "../x"),
        ("repo", "REPO", ".."),
        ("taskId", "TASK_ID", "../../etc"),
        ("taskId", "TASK_ID", "-x"),
        ("taskId", "TASK_ID", "x\ny"),
        ("ref", "REF", "--upload-pack=touch x"),
        ("ref", "REF", "main"),
    ],
)
def test_names_are_checked_again_before_paths_are_made_of_them(bench: Bench, parameter: str, variable: str, value: str) -> None:
    bench.init(1, **{variable: value}).assert_refused(f"parameter {parameter}: ")
    assert bench.leftovers() == []
    assert sorted(path.name for path in bench.base_root.iterdir()) == [".kept", ".tasks"]
