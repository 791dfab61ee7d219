"""Ways to tidy a base that many fetches have filled with packs: what each costs, and what it is good for afterwards.

``python -m benchmarks.base_repacks --folder DIR``: DIR's file system is what is measured, with a warm page cache.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.shapes import Shape, shapes
from benchmarks.timed_script import timed

WAYS: Final = {
    "nothing": ":",
    "geometric": 'git --git-dir="$BASE" repack -d -l -q --geometric=2 --write-midx',
    "cruft": 'git --git-dir="$BASE" repack -d -l -q --cruft --cruft-expiration=never --no-write-bitmap-index',
    "cruft, again": 'git --git-dir="$BASE" repack -d -l -q --cruft --cruft-expiration=never --no-write-bitmap-index',
}
"""The last one finds its work done already."""

AFTERWARDS: Final = {
    "checkout": 'git --git-dir="$BASE" --work-tree="$TREE" read-tree --reset -u "$NEWEST"',
    "look for 200 absent commits": """
        awk 'BEGIN { for (i = 0; i < 200; i++) printf "%040x\\n", i * 7919 + 1 }' | git --git-dir="$BASE" cat-file --batch-check >/dev/null""",
    "walk": 'git --git-dir="$BASE" rev-list --objects "$NEWEST" >/dev/null',
}


@dataclass(frozen=True)
class Result:
    """One way on one shape; medians."""

    shape: str
    way: str
    wall_seconds: float
    cpu_seconds: float
    bytes_written: int
    packs: int
    afterwards_seconds: dict[str, float]


def _packs(base: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in (base / "objects" / "pack").iterdir()}


def measure(shape: Shape, way: str, folder: Path, repetitions: int) -> Result:
    """Tidy a copy of the base, then use it."""
    base, tree = folder / "tidied.git", folder / "tree"
    environment = {**os.environ, "BASE": str(base), "TREE": str(tree), "NEWEST": shape.newest, "GIT_CONFIG_GLOBAL": os.devnull}
    walls, cpus, written, packs = [], [], 0, 0
    afterwards: dict[str, list[float]] = {name: [] for name in AFTERWARDS}
    for _ in range(repetitions):
        shutil.copytree(shape.base, base)
        if way.endswith("again"):
            timed(WAYS[way], environment)
        before = _packs(base)
        wall, cpu = timed(WAYS[way], environment)
        after = _packs(base)
        walls.append(wall)
        cpus.append(cpu)
        written = sum((base / "objects" / "pack" / name).stat().st_size for name, inode in after.items() if before.get(name) != inode)
        packs = sum(name.endswith(".pack") for name in after)
        for name, script in AFTERWARDS.items():
            shutil.rmtree(tree, ignore_errors=True)
            tree.mkdir()
            afterwards[name].append(timed(script, environment)[0])
        shutil.rmtree(base)
    medians = {name: statistics.median(taken) for name, taken in afterwards.items()}
    return Result(shape.name, way, statistics.median(walls), statistics.median(cpus), written, packs, medians)


def main() -> int:
    """Measure and print; raises what git's failures raise."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.base_repacks")
    parser.add_argument("--folder", type=Path, required=True, help="where to work; its file system is what is measured")
    parser.add_argument("--repetitions", type=int, default=5, help="runs of each way, of which the median counts (default: %(default)s)")
    arguments = parser.parse_args()
    modules = Path(subprocess.run(["go", "env", "GOMODCACHE"], capture_output=True, text=True, check=True).stdout.strip())
    print("| shape | way | wall s | CPU s | MiB written | packs | " + " | ".join(f"{name} s" for name in AFTERWARDS) + " |")
    print("| --- " * (6 + len(AFTERWARDS)) + "|")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as made, shapes(Path(made), modules) as (_, built):
        for shape in built:
            for way in WAYS:
                one = measure(shape, way, Path(made), arguments.repetitions)
                then = " | ".join(f"{seconds:.3f}" for seconds in one.afterwards_seconds.values())
                figures = f"{one.wall_seconds:.3f} | {one.cpu_seconds:.3f} | {one.bytes_written / 2**20:.1f} | {one.packs}"
                print(f"| {one.shape} | {one.way} | {figures} | {then} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
