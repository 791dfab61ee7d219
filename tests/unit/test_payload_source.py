"""The loader of scripts."""

from pathlib import Path

import pytest

import payload


def test_scripts_are_joined_in_order_with_one_shebang(tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text("#!/bin/sh\na=1", encoding="utf-8")
    (tmp_path / "b.sh").write_text("#!/bin/sh\nb=2\n", encoding="utf-8")
    assert payload.source("a.sh", "b.sh", folder=tmp_path) == "#!/bin/sh\na=1\nb=2\n"


def test_what_argo_would_replace_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text("echo {{workflow.name}}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"payload/a\.sh contains '\{\{'.*Remedy"):
        payload.source("a.sh", folder=tmp_path)


def test_no_script_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one script"):
        payload.source()


def test_a_missing_script_is_told() -> None:
    with pytest.raises(FileNotFoundError):
        payload.source("none.sh")
