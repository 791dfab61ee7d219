"""What a claim holds, counted: the same numbers on a plain disk and in a pod."""

import subprocess
from pathlib import Path
from typing import Final

SCRIPT: Final = r"""
# Input: the folders of bases and of trees. POSIX sh, for BusyBox too.
base_root=$1
trees_root=$2
below() { find "$1" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l; }
number() { echo "$1 $(($2))"; }
number 'trees' "$(below "$trees_root")"
number 'records of tasks' "$(below "$base_root/.tasks")"
number 'private git folders' "$(below "$base_root/.private")"
number 'kept work' "$(below "$base_root/.kept")"
number 'admin folders' "$(find "$base_root"/*/*.git/worktrees -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)"
number 'unfinished clones' "$(find "$base_root"/*/*.staging -maxdepth 0 2>/dev/null | wc -l)"
number 'bases set aside' "$(find "$base_root"/*/*.broken.* "$base_root"/*/*.evicted.* -maxdepth 0 2>/dev/null | wc -l)"
number 'bases' "$(find "$base_root"/*/*.git -maxdepth 0 2>/dev/null | wc -l)"
refs=0
for base in "$base_root"/*/*.git; do
    [ -d "$base" ] && refs=$((refs + $(git --git-dir="$base" for-each-ref | wc -l)))
done
number 'refs' "$refs"
number 'unfinished packs and objects' "$(find "$base_root"/*/*.git/objects -name 'tmp_*' 2>/dev/null | wc -l)"
number 'files of objects' "$(find "$base_root"/*/*.git/objects -type f 2>/dev/null | wc -l)"
number 'inodes' "$(find "$base_root" "$trees_root" | wc -l)"
number 'bytes in files' "$(find "$base_root" "$trees_root" -type f -exec stat -c %s {} + | awk '{ sum += $1 } END { printf "%d", sum }')"
number 'disk blocks of files' "$(find "$base_root" "$trees_root" -type f -exec stat -c %b {} + | awk '{ sum += $1 } END { printf "%d", sum }')"
"""
"""Prints a line ``name number`` for each thing that is counted. Blocks of folders are not: a folder that once was large stays so on ext4."""

Counts = dict[str, int]

OBJECT_COUNTS: Final = frozenset({"files of objects", "inodes", "bytes in files", "disk blocks of files"})
"""What grows where agents put their objects into the base, until maintenance takes them out."""


def parse(text: str) -> Counts:
    """Read what the script printed."""
    counts: Counts = {}
    for line in text.splitlines():
        name, _, number = line.rpartition(" ")
        counts[name] = int(number)
    return counts


def count(base_root: Path, trees_root: Path) -> Counts:
    """Count a claim on this machine."""
    command = ["sh", "-euc", SCRIPT, "claim-counts", str(base_root), str(trees_root)]
    return parse(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def differences(before: Counts, after: Counts) -> dict[str, str]:
    """What isn't the same: ``before -> after`` by name. The tolerance is 0."""
    return {name: f"{number} -> {after[name]}" for name, number in before.items() if after[name] != number}
