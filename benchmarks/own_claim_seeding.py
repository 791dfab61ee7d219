"""Ways to give a run with usePVC=true a base of its own: time, CPU and bytes of each, on three shapes.

``python -m benchmarks.own_claim_seeding --folder DIR``: DIR's file system is what is measured. The page cache is warm and nothing
is synced: what is compared is the work of each way, not the disk.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.shapes import Shape, shapes
from benchmarks.timed_script import timed
from tests.fixtures.git_server import GitServer
from tests.fixtures.git_server.repositories import OWNER, git

WAYS: Final = {
    "copy packs": """
        git init --quiet --bare --template= "$OUT"
        git --git-dir="$SEED" for-each-ref --format='create %(refname) %(objectname)' refs/heads refs/tags >"$OUT/refs-to-make"
        cp -R "$SEED/objects/." "$OUT/objects/"
        git --git-dir="$OUT" update-ref --stdin <"$OUT/refs-to-make"
        git --git-dir="$OUT" pack-refs --all""",
    "pack-objects": """
        git init --quiet --bare --template= "$OUT"
        git --git-dir="$SEED" for-each-ref --format='create %(refname) %(objectname)' refs/heads refs/tags >"$OUT/refs-to-make"
        git --git-dir="$SEED" pack-objects --quiet --all --revs "$OUT/objects/pack/pack" </dev/null >/dev/null
        git --git-dir="$OUT" update-ref --stdin <"$OUT/refs-to-make"
        git --git-dir="$OUT" pack-refs --all""",
    "clone --reference --dissociate": 'git clone --quiet --bare --template= --reference "$SEED" --dissociate "$URL" "$OUT"',
    "clone --no-local": 'git clone --quiet --bare --template= --no-local "file://$SEED" "$OUT"',
    "clone from the server": 'git clone --quiet --bare --template= "$URL" "$OUT"',
}
"""Each as a shell script. Hard links are no way: two claims are two file systems."""


@dataclass(frozen=True)
class Result:
    """One way on one shape; medians."""

    shape: str
    way: str
    wall_seconds: float
    cpu_seconds: float
    bytes_written: int
    bytes_from_the_server: int
    has_the_newest_commit: bool


def _once(server: GitServer, shape: Shape, script: str, out: Path) -> tuple[float, float, int, int, bool]:
    environment = {**os.environ, "SEED": str(shape.base), "OUT": str(out), "URL": shape.url, "GIT_CONFIG_GLOBAL": os.devnull}
    sent = server.bytes_sent(f"{OWNER}/{shape.name}")
    wall, cpu = timed(script, environment)
    written = sum(path.stat().st_size for path in (out / "objects").rglob("*") if path.is_file())
    try:
        git(out, "cat-file", "-e", f"{shape.newest}^{{commit}}")
        newest = True
    except subprocess.CalledProcessError:
        newest = False
    shutil.rmtree(out)
    return wall, cpu, written, server.bytes_sent(f"{OWNER}/{shape.name}") - sent, newest


def measure(server: GitServer, built: list[Shape], folder: Path, repetitions: int) -> list[Result]:
    """Run every way on every shape in turns, so that what else the machine does hits all alike."""
    results = []
    for shape in built:
        samples: dict[str, list[tuple[float, float, int, int, bool]]] = {way: [] for way in WAYS}
        for _ in range(repetitions):
            for way, script in WAYS.items():
                samples[way].append(_once(server, shape, script, folder / "out.git"))
        for way, taken in samples.items():
            wall, cpu, written, sent, newest = zip(*taken, strict=True)
            results.append(Result(shape.name, way, statistics.median(wall), statistics.median(cpu), written[0], max(sent), newest[0]))
    return results


def table(results: list[Result]) -> str:
    """Write the results as a Markdown table."""
    lines = [
        "| shape | way | wall s | CPU s | MiB written | MiB from the server | has the newest commit |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {one.shape} | {one.way} | {one.wall_seconds:.3f} | {one.cpu_seconds:.3f} | {one.bytes_written / 2**20:.1f}"
        f" | {one.bytes_from_the_server / 2**20:.1f} | {'yes' if one.has_the_newest_commit else 'no'} |"
        for one in results
    ]
    return "\n".join(lines)


def main() -> int:
    """Measure and print; raises what git's failures raise."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_claim_seeding")
    parser.add_argument("--folder", type=Path, required=True, help="where to work; its file system is what is measured")
    parser.add_argument("--repetitions", type=int, default=7, help="runs of each way, of which the median counts (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="file for the results as JSON")
    arguments = parser.parse_args()
    modules = Path(subprocess.run(["go", "env", "GOMODCACHE"], capture_output=True, text=True, check=True).stdout.strip())
    with tempfile.TemporaryDirectory(dir=arguments.folder) as made, shapes(Path(made), modules) as (server, built):
        results = measure(server, built, Path(made), arguments.repetitions)
    print(table(results))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(one) for one in results], indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
