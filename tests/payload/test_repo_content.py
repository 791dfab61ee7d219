"""Submodules and LFS: refused by default with the setting's name, or left out with a line that says so."""

from pathlib import Path

import pytest

from config.repos import repos_tsv
from tests.fixtures.git_server.repositories import git
from tests.payload.steps import BOTH_GIT_FOLDERS, Bench
from tests.unit.stack_files import config_with

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"


def commit(upstream: Path, branch: str, files: dict[str, str], submodules: tuple[str, ...] = ()) -> None:
    """Puts files and submodules upon main, as a branch of the server."""
    stream = f"commit refs/heads/{branch}\ncommitter A <a@example.org> 1700000000 +0000\ndata 1\nx\nfrom refs/heads/main^0\n"
    for path, text in files.items():
        stream += f"M 100644 inline {path}\ndata {len(text)}\n{text}\n"
    for path in submodules:
        stream += f"M 160000 {'1' * 40} {path}\n"
    git(upstream, "fast-import", "--quiet", stdin=stream.encode())


def list_repo(bench: Bench, **content: str) -> None:
    """Writes the stack's list as the program does."""
    bench.repos_file.write_text(repos_tsv(config_with(repos=[{"owner": "ExampleOrg", "name": "Sample", **content}])))


@pytest.fixture
def submodules(upstream: Path) -> None:
    """The branch `submodules` of the server."""
    modules = '[submodule "one"]\n\tpath = libs/one\n\turl = ../one.git\n'
    commit(upstream, "submodules", {".gitmodules": modules}, ("libs/one", "libs/two"))


@pytest.fixture
def lfs(upstream: Path) -> None:
    """The branch `lfs` of the server: pointers below a folder, by attributes there and by a macro."""
    files = {
        ".gitattributes": "[attr]big filter=lfs diff=lfs merge=lfs -text\n*.iso big\n",
        "images/.gitattributes": "*.png filter=lfs\nplain.png -filter\n",
        "images/a.png": POINTER,
        "images/plain.png": "a real one",
        "other.png": "a real one",
        "disks/b.iso": POINTER,
    }
    commit(upstream, "lfs", files)


@pytest.mark.usefixtures("submodules")
def test_submodules_are_refused_by_default(bench: Bench) -> None:
    bench.init(REF="refs/heads/submodules").assert_refused(
        "parameter repo: 'exampleorg/sample'",
        "2 submodule(s), the first at 'libs/one'",
        "set submodules: empty on this repository in coderun-workspaces:repos",
    )
    bench.cleanup().assert_succeeded()
    assert bench.leftovers() == []


@BOTH_GIT_FOLDERS
@pytest.mark.usefixtures("submodules")
def test_submodules_are_left_empty_where_the_list_says_so(bench: Bench) -> None:
    list_repo(bench, submodules="empty")
    outcome = bench.init(REF="refs/heads/submodules")
    outcome.assert_succeeded()
    assert "2 submodule(s), the first at 'libs/one'; their folders are left empty" in outcome.output
    for name in ("one", "two"):
        assert list((bench.tree("task-1") / "libs" / name).iterdir()) == []
    assert bench.status("task-1") == ""
    bench.cleanup().assert_succeeded()
    assert bench.leftovers() == []


@pytest.mark.usefixtures("lfs")
def test_lfs_is_refused_by_default(bench: Bench) -> None:
    bench.init(REF="refs/heads/lfs").assert_refused(
        "parameter repo: 'exampleorg/sample'",
        "2 file(s) in LFS, the first 'disks/b.iso'",
        "set lfs: pointers on this repository in coderun-workspaces:repos",
    )


@pytest.mark.usefixtures("lfs")
def test_lfs_files_stay_pointers_where_the_list_says_so(bench: Bench) -> None:
    list_repo(bench, lfs="pointers")
    outcome = bench.init(REF="refs/heads/lfs")
    outcome.assert_succeeded()
    assert "2 file(s) in LFS, the first 'disks/b.iso'; the tree has pointers to them" in outcome.output
    assert (bench.tree("task-1") / "images" / "a.png").read_text() == POINTER
    assert bench.status("task-1") == ""


def test_attributes_that_no_file_has_are_no_lfs(bench: Bench, upstream: Path) -> None:
    commit(upstream, "lfs", {".gitattributes": "*.iso filter=lfs\n", "x.txt": "x"})
    bench.init(REF="refs/heads/lfs").assert_succeeded()


@pytest.mark.usefixtures("submodules", "lfs")
def test_one_setting_does_not_allow_the_other(bench: Bench) -> None:
    list_repo(bench, submodules="empty")
    bench.init(1, REF="refs/heads/lfs").assert_refused("in LFS")
    list_repo(bench, lfs="pointers")
    bench.init(2, REF="refs/heads/submodules").assert_refused("submodule(s)")


def test_without_the_list_nothing_is_guessed(bench: Bench) -> None:
    bench.repos_file.unlink()
    bench.init().assert_refused("the stack's list of repositories is not there", "pulumi up")
