"""Semaphore keys: names in the ConfigMap ``workflow-semaphores``, one a branch with a limit of its own and one default a repo.

A key is ``owner-repo-branch``, or ``owner-repo`` for the repo's default. Each of the names is encoded so that two
different branches never share a key, whatever hyphens their names have, and so that a key depends on nothing but the
names in it. In a branch's place there may be a pattern of branches (:mod:`config.branch_patterns`). Owner and repo are
lower-cased first: GitHub doesn't tell their spellings apart. Branches are told apart.

Of a name
  * ``a-z 0-9 . _`` stay as they are;
  * a hyphen between other characters is doubled, so that a single hyphen always separates names;
  * a hyphen at the beginning or the end becomes ``H``;
  * ``/`` becomes ``S``, a capital letter ``U`` and its small form, and any other byte of UTF-8 ``X`` and two hex digits.

Where the names have no hyphen, slash, capital or unusual character this is task 8's formula: ``exampleorg-sample-main``.
"""

import re
from functools import cache
from typing import Final

MAX_KEY_LENGTH: Final = 253
"""Longest key of a ConfigMap, in characters (Kubernetes' validation, ``IsConfigMapKey``)."""

_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._")
_SEPARATOR: Final = re.compile(r"(?<!-)-(?!-)")
_TOKEN: Final = re.compile(r"--|[a-z0-9._]|H|S|U[a-z]|X[0-9a-f]{2}")
_NAMES_IN_DEFAULT_KEY: Final = 2
_NAMES_IN_BRANCH_KEY: Final = 3


class KeyTooLongError(ValueError):
    """A semaphore key would be longer than a ConfigMap allows."""


def default_key(owner: str, repo: str) -> str:
    """Name the semaphore of all branches of a repo that have no limit of their own.

    Args:
        owner: The repo's owner, in any spelling.
        repo: The repo's name, in any spelling.

    Returns:
        The key, for example ``exampleorg-sample``. It never equals a branch's key.

    Raises:
        KeyTooLongError: The key has more than 253 characters.
        ValueError: A name is empty.
    """
    return _join(owner.lower(), repo.lower())


def branch_key(owner: str, repo: str, branch: str) -> str:
    """Name the semaphore of one branch.

    Args:
        owner: The repo's owner, in any spelling.
        repo: The repo's name, in any spelling.
        branch: The branch's short name as git has it, for example ``main`` or ``release/1.0``.

    Returns:
        The key, for example ``exampleorg-sample-main``.

    Raises:
        KeyTooLongError: The key has more than 253 characters.
        ValueError: A name is empty.
    """
    return _join(owner.lower(), repo.lower(), branch)


def decode(key: str) -> tuple[str, str, str | None]:
    """Read a key back; that this can be done at all is what keeps two branches from sharing a key.

    Args:
        key: A key made by :func:`default_key` or :func:`branch_key`.

    Returns:
        Owner and repo in lower case, and the branch, or None for a repo's default key.

    Raises:
        ValueError: The text isn't such a key.
    """
    names = [_decode_name(name) for name in _SEPARATOR.split(key)]
    if len(names) == _NAMES_IN_DEFAULT_KEY:
        return names[0], names[1], None
    if len(names) == _NAMES_IN_BRANCH_KEY:
        return names[0], names[1], names[2]
    raise ValueError(f"{key!r} is not a semaphore key: it has {len(names)} names instead of two or three")


def _join(*names: str) -> str:
    key = "-".join(_encode_name(name) for name in names)
    if len(key) > MAX_KEY_LENGTH:
        raise KeyTooLongError(
            f"the semaphore key of {'/'.join(names)} has {len(key)} characters, more than the {MAX_KEY_LENGTH} that a ConfigMap allows"
        )
    return key


@cache  # ten thousand repos have a few owners, and every key is asked for several times
def _encode_name(name: str) -> str:
    if not name:
        raise ValueError("a semaphore key can't be made of an empty name")
    inner = name.strip("-")
    leading = len(name) - len(name.lstrip("-"))
    trailing = len(name) - leading - len(inner)
    return "H" * leading + "".join(_encode_character(character) for character in inner) + "H" * trailing


def _encode_character(character: str) -> str:
    if character in _PLAIN:
        return character
    if character == "-":
        return "--"
    if character == "/":
        return "S"
    if "A" <= character <= "Z":
        return "U" + character.lower()
    return "".join(f"X{byte:02x}" for byte in character.encode())


def _decode_name(text: str) -> str:
    decoded = bytearray()
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise ValueError(f"{text!r} is not part of a semaphore key: unexpected character at position {position}")
        decoded += _decode_token(token.group())
        position = token.end()
    if not decoded:
        raise ValueError("a semaphore key has an empty name")
    return decoded.decode()


def _decode_token(token: str) -> bytes:
    match token[0]:
        case "-" | "H":
            return b"-"
        case "S":
            return b"/"
        case "U":
            return token[1].upper().encode()
        case "X":
            return bytes.fromhex(token[1:])
        case _:
            return token.encode()
