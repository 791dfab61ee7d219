"""Patterns of branches, such as ``release/*``: one semaphore for all branches that a pattern covers.

``*`` stands for any characters but a slash, perhaps none; ``**`` for any characters. Every other character stands for
itself. A branch that is named by itself counts to its own limit, whatever patterns cover it. Of several patterns that
cover a branch the most exact one counts: the one with more characters that stand for themselves, then the one with
fewer ``**``. Two patterns that are equally exact and can cover the same branch are refused, so the order in which they
are written never matters. A branch that nothing covers counts to the repo's default limit.

git allows no ``*`` in a branch's name, so no pattern is ever taken for a branch.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final

_STARS: Final = re.compile(r"\*+")
_PARTS: Final = re.compile(r"\*\*|\*|[^*]")
_MOST_STARS: Final = 2


def is_pattern(name: str) -> bool:
    """Tell a pattern from a branch's name."""
    return "*" in name


def pattern_fault(pattern: str) -> str | None:
    """Say what is wrong with a pattern's stars, or None; its other characters are those of a branch's name."""
    if not pattern.strip("*"):
        return "covers every branch, and that is what defaultLimit is for"
    if any(len(stars) > _MOST_STARS for stars in _STARS.findall(pattern)):
        return "has more than two stars in a row"
    return None


def sample_branch(pattern: str) -> str:
    """Make a branch's name that the pattern covers: what git would say of this one, it says of all."""
    return _STARS.sub("x", pattern)


def covers(pattern: str, branch: str) -> bool:
    """Tell whether a pattern covers a branch."""
    return _expression(pattern).fullmatch(branch) is not None


def exactness(pattern: str) -> tuple[int, int]:
    """Rank a pattern; the larger rank is the more exact one."""
    return len(pattern) - pattern.count("*"), -pattern.count("**")


def most_exact_first(patterns: Iterable[str]) -> list[str]:
    """Sort patterns so that the first one that covers a branch is the one that counts."""
    return sorted(patterns, key=lambda pattern: (*(-rank for rank in exactness(pattern)), pattern))


def conflicts(patterns: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Find pairs of equally exact patterns that can cover the same branch."""
    groups: dict[tuple[int, int], list[str]] = {}
    for pattern in patterns:
        groups.setdefault(exactness(pattern), []).append(pattern)
    for group in groups.values():
        for position, second in enumerate(group):
            yield from ((first, second) for first in group[:position] if can_cover_the_same(first, second))


def can_cover_the_same(first: str, second: str) -> bool:
    """Tell whether there is any text that both patterns cover."""
    heads = [pattern.partition("*")[0] for pattern in (first, second)]
    if not heads[0].startswith(heads[1]) and not heads[1].startswith(heads[0]):
        return False
    return _meet(tuple(_PARTS.findall(first)), tuple(_PARTS.findall(second)))


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    written = {"*": "[^/]*", "**": ".*"}
    return re.compile("".join(written.get(part) or re.escape(part) for part in _PARTS.findall(pattern)))


def _meet(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    # Which remainders of the two can be left at the same time. Both may always shed a star at their front.
    open_pairs, seen = [(0, 0)], set[tuple[int, int]]()
    while open_pairs:
        pair = open_pairs.pop()
        if pair in seen:
            continue
        seen.add(pair)
        one, two = pair
        left, right = first[one : one + 1], second[two : two + 1]
        if not left and not right:
            return True
        if left and left[0] in {"*", "**"}:
            open_pairs.append((one + 1, two))
        if right and right[0] in {"*", "**"}:
            open_pairs.append((one, two + 1))
        if left and right and _share_a_character(left[0], right[0]):
            open_pairs.append((one + (left[0] not in {"*", "**"}), two + (right[0] not in {"*", "**"})))
    return False


def _share_a_character(left: str, right: str) -> bool:
    match left, right:
        case ("**", _) | (_, "**") | ("*", "*"):
            return True
        case ("*", other) | (other, "*"):
            return other != "/"
        case _:
            return left == right
