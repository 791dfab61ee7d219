"""Programs of the node are started once, told from others with their pid, and stopped."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from node import processes

# Programs are meant to outlive who started them; Python warns of that.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

_ENDLESS = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]
_STUBBORN = [sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"]


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CODERUN_STATE", str(tmp_path))
    yield
    processes.stop("program", seconds=0)


def _start(command: list[str]) -> int:
    processes.start("program", command)
    deadline = time.monotonic() + 20
    while "up" not in processes.last_lines("program"):
        assert time.monotonic() < deadline, processes.last_lines("program")
        time.sleep(0.02)
    pid = processes.running("program")
    assert pid is not None
    return pid


def test_a_running_program_is_not_started_again() -> None:
    pid = _start(_ENDLESS)
    processes.start("program", _ENDLESS)
    assert processes.running("program") == pid


def test_stop_ends_it() -> None:
    _start(_ENDLESS)
    processes.stop("program")
    assert processes.running("program") is None


def test_a_program_that_ignores_the_request_is_killed() -> None:
    _start(_STUBBORN)
    processes.stop("program", seconds=0.2)
    assert processes.running("program") is None


def test_a_killed_program_is_started_again() -> None:
    killed = _start(_STUBBORN)
    processes.kill("program")
    assert processes.running("program") is None
    processes.log_file("program").write_text("")
    assert _start(_ENDLESS) != killed
    processes.stop("program")
    processes.kill("program")


def test_another_process_with_the_pid_is_not_taken_for_it(tmp_path: Path) -> None:
    pid = _start(_ENDLESS)
    file = tmp_path / "run" / "program.pid"
    recorded = file.read_text()
    file.write_text(f"{pid} 1\n")
    assert processes.running("program") is None
    file.write_text(recorded)


def test_the_same_settings_again_leave_the_program_and_its_file_alone(tmp_path: Path) -> None:
    settings = processes.write_settings("program", tmp_path / "etc" / "program.json", "{}")
    pid, written = _start(_ENDLESS), settings.stat().st_mtime_ns
    processes.write_settings("program", settings, "{}")
    assert processes.running("program") == pid
    assert settings.stat().st_mtime_ns == written


def test_other_settings_stop_the_program_that_has_the_old_ones(tmp_path: Path) -> None:
    settings = processes.write_settings("program", tmp_path / "etc" / "program.json", "{}")
    _start(_ENDLESS)
    processes.write_settings("program", settings, '{"mode": "iptables"}')
    assert processes.running("program") is None
    assert settings.read_text() == '{"mode": "iptables"}'
