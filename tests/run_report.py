"""Reports of long runs: what was run, when, on what, and what came out, as JSON; and the tables that the docs quote.

``python -m tests.run_report REPORTS RESULTS DOCUMENT`` copies the reports of REPORTS to RESULTS and makes the tables in DOCUMENT anew.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

PROJECT: Final = Path(__file__).resolve().parent.parent
_BEGIN: Final = "<!-- results: made by `make results` -->"
_END: Final = "<!-- end of results -->"


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)
    return done.stdout.strip() if done.returncode == 0 else ""


def provenance(disk: Path) -> dict[str, str]:
    """Say what code was run on what machine; DISK is a folder on the disk that was written to."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    changed = " with changes" if _said("git", "status", "--porcelain") else ""
    return {
        "commit": (_said("git", "rev-parse", "--short=12", "HEAD") or "unknown") + changed,
        "machine": f"{os.cpu_count()} cores, {memory / 2**30:.0f} GiB, {platform.system()} {platform.release()}",
        "disk": _said("stat", "--file-system", "--format=%T", str(disk)) or "unknown",
        "git": _said("git", "version").removeprefix("git version "),
        "python": platform.python_version(),
    }


@dataclass
class RunReport:
    """One report under way.

    Attributes:
        name: Name of its file, without an ending.
        what: A sentence that says what is run.
        disk: A folder on the disk that is written to.
        figures: What came out: value by label, in the order of the table.
        details: All that the table leaves out; any JSON.
    """

    name: str
    what: str
    disk: Path
    figures: dict[str, int | float | str] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    def write(self, folder: str | None) -> None:
        """Write ``FOLDER/NAME.json``; nothing without a folder."""
        if folder is None:
            return
        finished = datetime.now(UTC)
        document = {
            "name": self.name,
            "what": self.what,
            "started": self.started.isoformat(timespec="seconds"),
            "finished": finished.isoformat(timespec="seconds"),
            "seconds": round((finished - self.started).total_seconds()),
            "on": provenance(self.disk),
            "figures": self.figures,
            "details": self.details,
        }
        target = Path(folder) / f"{self.name}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(document, indent=1) + "\n")


def table(document: dict[str, Any]) -> str:
    """Make a report's section: its sentence, its provenance, its figures."""
    on = document["on"]
    when, minutes = document["started"][:16].replace("T", " "), document["seconds"] / 60
    lines = [
        document["what"],
        "",
        f"{when} UTC, {minutes:.0f} min; commit {on['commit']}; {on['machine']}; disk {on['disk']}; git {on['git']}.",
        "",
        "| what | result |",
        "| --- | --- |",
        *(f"| {label} | {value} |" for label, value in document["figures"].items()),
    ]
    return "\n".join(lines)


def publish(reports: Path, results: Path, document: Path) -> list[str]:
    """Copy every report and put the tables of all results between the marks of a document.

    Returns:
        The names of the reports that were copied.

    Raises:
        ValueError: The document has no marks.
    """
    text = document.read_text(encoding="utf-8")
    head, begin, rest = text.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{document} has no marks. Remedy: put a line {_BEGIN} and a line {_END} where the tables belong")
    results.mkdir(parents=True, exist_ok=True)
    copied = sorted(reports.glob("*.json"))
    for report in copied:
        shutil.copyfile(report, results / report.name)
    tables = [table(json.loads(found.read_text(encoding="utf-8"))) for found in sorted(results.glob("*.json"))]
    document.write_text(head + _BEGIN + "\n\n" + "\n\n".join(tables) + "\n\n" + _END + tail, encoding="utf-8")
    return [report.stem for report in copied]


def main() -> int:
    """Parse the command line and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.run_report", description=__doc__)
    parser.add_argument("reports", type=Path, help="folder that the reports were written to")
    parser.add_argument("results", type=Path, help="folder of the committed copies")
    parser.add_argument("document", type=Path, help="Markdown file with the marks")
    options = parser.parse_args()
    try:
        copied = publish(options.reports, options.results, options.document)
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{len(copied)} reports copied to {options.results}: {', '.join(copied)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
