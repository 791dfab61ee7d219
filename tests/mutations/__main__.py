"""``python -m tests.mutations``: takes each guard out of a copy of the scripts and sees its test turn red."""

import argparse
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import payload
from tests.mutations.table import MUTATIONS, Mutation
from tests.run_report import PROJECT, RunReport

AT_ONCE: Final = 2
PASSED, FAILED = 0, 1
"""Exit codes of pytest; any other says that no test was run to its end."""


class MutationError(Exception):
    """The runner can't tell anything: a test is red without a mutation, or a text isn't there."""


def mutate(mutation: Mutation, folder: Path) -> Path:
    """Copies the scripts to a folder and changes the one.

    Raises:
        MutationError: The text that is to be replaced isn't there exactly once.
    """
    copy = Path(shutil.copytree(payload.FOLDER, folder))
    script = copy / mutation.file
    text = script.read_text(encoding="utf-8")
    if text.count(mutation.text) != 1:
        raise MutationError(
            f"{mutation.name}: {mutation.text!r} is {text.count(mutation.text)} times in payload/{mutation.file}."
            " Remedy: correct the table, tests/mutations/table.py"
        )
    script.write_text(text.replace(mutation.text, mutation.replacement), encoding="utf-8")
    return copy


def run_tests(scripts: Path, *tests: str) -> tuple[int, str]:
    """Runs tests with other scripts; pytest's exit code and its last lines."""
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", "--payload", str(scripts), "--repetitions", "1", *tests]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    return done.returncode, "\n".join((done.stdout + done.stderr).splitlines()[-15:])


def try_all(mutations: tuple[Mutation, ...], report: RunReport) -> bool:
    """Tries the mutations, prints a line for each, and says whether all turned their test red.

    Raises:
        MutationError: As the class says.
    """
    with tempfile.TemporaryDirectory(prefix="coderun-mutations-") as name:
        folder = Path(name)
        copies = {mutation: mutate(mutation, folder / str(number)) for number, mutation in enumerate(mutations)}
        tests = sorted({mutation.test for mutation in mutations})
        code, said = run_tests(Path(shutil.copytree(payload.FOLDER, folder / "unchanged")), *tests)
        if code != PASSED:
            raise MutationError(f"the tests are not green with the scripts as they are:\n{said}\nRemedy: mend them first")
        all_red = True
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for mutation, (code, said) in zip(mutations, pool.map(lambda one: run_tests(copies[one], one.test), mutations), strict=True):
                red = code == FAILED
                all_red = all_red and red
                report.figures[mutation.name] = f"{'red' if red else 'NOT RED'}: `{mutation.test.partition('::')[2]}`"
                print(f"{'red    ' if red else 'NOT RED'}  {mutation.name}: {mutation.test}" + ("" if red else f"\n{said}"), flush=True)
    return all_red


def main() -> int:
    """Parse the command line and try; 1 if a mutation was not seen."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="only mutations whose name contains this")
    parser.add_argument("--reports", help="folder for the report")
    options = parser.parse_args()
    chosen = tuple(mutation for mutation in MUTATIONS if options.only in mutation.name)
    report = RunReport(
        "mutations", "Guards that were taken out of a copy of the scripts, one at a time, and the test that turned red.", Path(tempfile.gettempdir())
    )
    try:
        all_red = try_all(chosen, report)
    except MutationError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    report.write(options.reports)
    return 0 if all_red else 1


if __name__ == "__main__":
    sys.exit(main())
