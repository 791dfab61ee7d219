"""Reports of long runs and the tables that are made of them."""

import json
from pathlib import Path

import pytest

from tests.run_report import RunReport, publish, table

MARKED = "# Title\n\n<!-- results: made by `make results` -->\nold\n<!-- end of results -->\n\nThe end.\n"


def write(folder: Path, name: str = "crowds") -> None:
    report = RunReport(name, "Many at once.", folder)
    report.figures["inits"] = 1000
    report.details["seconds"] = [1.5]
    report.write(str(folder))


def test_a_report_says_what_when_and_on_what(tmp_path: Path) -> None:
    write(tmp_path)
    document = json.loads((tmp_path / "crowds.json").read_text())
    assert document["figures"] == {"inits": 1000}
    assert document["details"] == {"seconds": [1.5]}
    assert document["finished"] >= document["started"]
    assert document["on"].keys() == {"commit", "machine", "disk", "git", "python"}
    assert all(document["on"].values())


def test_nothing_is_written_without_a_folder(tmp_path: Path) -> None:
    RunReport("crowds", "Many at once.", tmp_path).write(None)
    assert list(tmp_path.iterdir()) == []


def test_tables_take_the_place_between_the_marks(tmp_path: Path) -> None:
    reports, results, document = tmp_path / "reports", tmp_path / "results", tmp_path / "doc.md"
    write(reports)
    document.write_text(MARKED)
    assert publish(reports, results, document) == ["crowds"]
    text = document.read_text()
    assert "old" not in text
    assert "| inits | 1000 |" in text
    assert text.endswith("<!-- end of results -->\n\nThe end.\n")
    # A report of another day joins those that are there.
    write(reports, "chaos")
    (reports / "crowds.json").unlink()
    assert publish(reports, results, document) == ["chaos"]
    assert document.read_text().count("| inits | 1000 |") == 2


def test_a_document_without_marks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "doc.md").write_text("# Title\n")
    with pytest.raises(ValueError, match=r"has no marks\. Remedy"):
        publish(tmp_path, tmp_path / "results", tmp_path / "doc.md")


def test_the_table_has_the_provenance(tmp_path: Path) -> None:
    write(tmp_path)
    lines = table(json.loads((tmp_path / "crowds.json").read_text())).splitlines()
    assert lines[0] == "Many at once."
    assert "cores" in lines[2]
    assert "commit" in lines[2]
