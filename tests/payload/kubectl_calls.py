"""Brings calls of kubectl from the steps' scripts into the process of the tests, where a function answers them.

A script calls kubectl a dozen times and more. A Python of its own for each call took most of the time of these tests; what is started instead
is a shell that hands its arguments over and prints what comes back.
"""

import atexit
import os
import select
import shutil
import tempfile
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

# What comes back are lines. The first character says what the rest is: a line of output, a last one without its line break, a line of errors,
# or the exit code.
_PROGRAM: Final = """#!/bin/sh
call={calls}/$$
[ -p "$call" ] || {mkfifo} "$call"
exec 3<>"$call"
{{
    printf '%s\\0' "$#" "$@"
    case " $* " in *' -f - '*) {cat} ;; esac
}} >"$call.asked"
echo "$call" >{inbox}
while IFS= read -r line <&3; do
    case $line in
        o*) printf '%s\\n' "${{line#?}}" ;;
        p*) printf '%s' "${{line#?}}" ;;
        e*) printf '%s\\n' "${{line#?}}" >&2 ;;
        *) exit "${{line#?}}" ;;
    esac
done
"""


class CallError(Exception):
    """A call fails with these words on its standard error."""


class Call:
    """A call of kubectl that waits for its answer."""

    def __init__(self, folder: Path, arguments: list[str], text: str, answers: int) -> None:
        """Takes the folder that its program was made for, its command line, its standard input and where its answers go."""
        self.folder = folder
        self.arguments = arguments
        self.text = text
        self._answers = answers
        self._unsent = b""
        self._hung_up = select.poll()
        # An error is told whether it was asked for or not: nobody reads any more.
        self._hung_up.register(answers, 0)

    def print(self, text: str) -> None:
        """Puts something on its standard output, at the latest when the call ends."""
        *lines, rest = text.split("\n")
        self._add("o", lines)
        self._add("p", [rest] if rest else [])

    def print_now(self, text: str) -> None:
        """As print, and its caller has it before the call ends."""
        self.print(text)
        self._send()

    def is_waited_for(self) -> bool:
        """Whether its caller is still there: one that was killed must not change anything any more."""
        return not self._hung_up.poll(0)

    def end(self, code: int, errors: str = "") -> None:
        """Ends it."""
        self._add("e", errors.splitlines())
        self._add("x", [str(code)])
        self._send()

    def _add(self, kind: str, lines: list[str]) -> None:
        self._unsent += "".join(f"{kind}{line}\n" for line in lines).encode()

    def _send(self) -> None:
        # Its caller may have been killed; who waits for long asks for that.
        with suppress(BrokenPipeError):
            while self._unsent:
                self._unsent = self._unsent[os.write(self._answers, self._unsent) :]


Answer = Callable[[Call], None]


def kubectl_program(folder: Path, answer: Answer) -> str:
    """Make a program to be put on the PATH of steps as kubectl.

    Args:
        folder: Given to each of its calls; what is under way is kept in its folder ``calls``.
        answer: Answers a call, in a thread of its own; returns when the call has done well, raises CallError when it fails.

    Returns:
        The program's text.
    """
    calls = folder / "calls"
    calls.mkdir()
    # Tests put programs of their own before the real ones.
    programs = {name: shutil.which(name) for name in ("mkfifo", "cat")}
    return _PROGRAM.format(calls=calls, inbox=_inbox(answer), **programs)


@cache
def _inbox(answer: Answer) -> Path:
    """A pipe for the names of calls, which this process reads as long as it lives."""
    folder = Path(tempfile.mkdtemp(prefix="coderun-kubectl-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    inbox = folder / "inbox"
    os.mkfifo(inbox)
    # Open for writing too, so that it never comes to an end.
    descriptor = os.open(inbox, os.O_RDWR)
    threading.Thread(target=_read_calls, args=(descriptor, answer), name="kubectl", daemon=True).start()
    return inbox


def _read_calls(inbox: int, answer: Answer) -> None:
    with os.fdopen(inbox, "rb") as names:
        for name in names:
            threading.Thread(target=_take_call, args=(Path(os.fsdecode(name).rstrip("\n")), answer), name="kubectl call", daemon=True).start()


def _take_call(path: Path, answer: Answer) -> None:
    asked = path.with_name(f"{path.name}.asked")
    try:
        # Doesn't wait, and fails when its caller is gone again.
        answers = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        path.unlink(missing_ok=True)
        return
    try:
        os.set_blocking(answers, True)
        path.unlink()
        count, _, rest = asked.read_text().partition("\0")
        asked.unlink()
        *arguments, text = rest.split("\0", int(count))
        _answer(Call(path.parent.parent, arguments, text, answers), answer)
    finally:
        os.close(answers)


def _answer(call: Call, answer: Answer) -> None:
    try:
        answer(call)
    except CallError as error:
        call.end(1, str(error))
    except Exception:  # noqa: BLE001 - the step that called shows it, and its test
        call.end(1, traceback.format_exc())
    else:
        call.end(0)
