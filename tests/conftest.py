"""Options of the test suites."""

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declares the options; all have defaults that suit a short run."""
    group = parser.getgroup("coderun-workspaces")
    group.addoption("--repetitions", type=int, default=3, help="tests/soak: how often 20 inits at once are repeated (long: 50)")
    group.addoption("--runs", type=int, default=20, help="tests/soak and tests/soak_cluster: number of whole runs (long: 400 and 100)")
    group.addoption("--seed", type=int, default=1, help="tests/soak: what the moments of kills are drawn from")
    group.addoption(
        "--plan", choices=("short", "long"), default="short", help="tests/chaos: which rounds are played; tests/e2e: how long storms of events are"
    )
    group.addoption("--reports", help="folder for the reports of soak and chaos; none are written without it")
    group.addoption("--payload", help="tests/payload, tests/soak: folder of the scripts to test instead of payload/")


def pytest_configure(config: pytest.Config) -> None:
    """Hands the scripts of --payload to the bench."""
    folder = config.getoption("--payload")
    if folder is not None:
        # Only then: the end-to-end suites need no bench.
        from tests.payload.steps import Bench  # noqa: PLC0415

        Bench.scripts = Path(folder).absolute()
