"""An agent at work in a task's tree: it commits, and leaves dirt of all sorts behind."""

import subprocess
from typing import Final

from tests.payload.steps import Bench, RunningStep

_SCRIPT: Final = """
set -eu
cd "$TREE"
echo "work of $TASK_ID" >AGENT.txt
git add AGENT.txt
git -c user.name=agent -c user.email=agent@example.org commit --quiet -m 'Add what the agent wrote'
echo 'not committed' >>README.md
echo 'not known to git' >untracked.txt
mkdir -p closed/inside
echo x >closed/inside/file
chmod 0 closed/inside closed
ln -s / everything
"""


def git_variables(bench: Bench, task: str) -> dict[str, str]:
    """Environment in which git sees what the agent's pod mounts, at the paths of this machine."""
    private = bench.base_root / ".private" / task
    if not private.is_dir():
        return {"GIT_WORK_TREE": str(bench.tree(task)), "GIT_DIR": str(bench.base() / "worktrees" / task)}
    return {
        "GIT_WORK_TREE": str(bench.tree(task)),
        "GIT_DIR": str(private / "worktrees" / task),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(bench.base() / "objects"),
    }


def start(bench: Bench, number: int, **variables: str) -> RunningStep:
    """Starts the agent of task-NUMBER of the bench."""
    task = f"task-{number}"
    environment = bench.environment("agent", number, TREE=str(bench.tree(task)), **{**git_variables(bench, task), **variables})
    script = bench.folder / "out" / f"agent-{number}" / "agent.sh"
    script.write_text(_SCRIPT)
    process = subprocess.Popen(
        ["sh", str(script)],
        env=environment,
        cwd=bench.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    return RunningStep(process, environment)


def parent_of_head(bench: Bench, number: int) -> str:
    """The commit that the agent's own stands on."""
    environment = bench.environment("agent", number, **git_variables(bench, f"task-{number}"))
    done = subprocess.run(["git", "rev-parse", "HEAD^"], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def objects_stay(bench: Bench, number: int) -> bool:
    """Whether what the agent of task-NUMBER commits goes into the base, where it stays until maintenance."""
    return not (bench.base_root / ".private" / f"task-{number}").is_dir()
