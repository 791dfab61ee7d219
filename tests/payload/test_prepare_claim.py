"""prepare: folders, and proof that the claim does what the steps need."""

from pathlib import Path

import pytest

from tests.payload.steps import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A bench that needs no git server."""
    return Bench(tmp_path / "bench", "http://127.0.0.1:9")


def test_makes_the_folders_twice(bench: Bench) -> None:
    root = bench.folder / "fresh"
    for _ in range(2):
        bench.run("prepare", CLAIM_ROOT=str(root)).assert_succeeded()
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == ["base", "base/.kept", "base/.tasks", "trees"]


@pytest.mark.parametrize(
    ("program", "script", "words"),
    [
        ("flock", "exit 0", "lets two in at once"),
        ("flock", "exit 1", "flock doesn't work"),
        ("ln", "echo 'ln: Operation not permitted' >&2; exit 1", "hard links don't work"),
        ("mktemp", 'case "$1" in */base/*) echo "Read-only file system" >&2; exit 1;; esac; PATH=${PATH#*:} exec mktemp "$@"', "can't be written"),
        ("mkdir", "echo 'mkdir: No space left on device' >&2; exit 1", "the claim is full"),
    ],
)
def test_a_claim_that_will_not_do_is_named(bench: Bench, program: str, script: str, words: str) -> None:
    path = bench.cluster.folder / "bin" / program
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    bench.run("prepare", CLAIM_ROOT=str(bench.folder / "fresh")).assert_refused(words)
