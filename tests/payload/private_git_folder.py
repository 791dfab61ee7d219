"""Gives a task the git folder of its own that runs have with gitFolder=private, in place of an admin folder in the base."""

import shutil
from pathlib import Path

from tests.fixtures.git_server.repositories import git
from tests.payload.steps import REPO, Bench


def give_private_git_folder(bench: Bench, task: str, repo: str = REPO) -> Path:
    """Moves a task from the shared base to a git folder of its own, base/.private/TASK. Its tree works as before.

    Agents see the folder under the base's path and the base's objects under another; here both are where they are.
    """
    base, tree, private = bench.base(repo), bench.tree(task), bench.base_root / ".private" / task
    (private / "refs" / "heads").mkdir(parents=True)
    (private / "objects" / "info").mkdir(parents=True)
    (private / "objects" / "info" / "alternates").write_text(f"{base / 'objects'}\n")
    (private / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
    shutil.copy(base / "HEAD", private / "HEAD")
    refs = git(base, "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags")
    (private / "packed-refs").write_text(f"{refs}\n")
    admin = private / "worktrees" / task
    admin.parent.mkdir()
    (base / "worktrees" / task).rename(admin)
    (admin / "commondir").write_text("../..\n")
    (tree / ".git").write_text(f"gitdir: {admin}\n")
    return private
