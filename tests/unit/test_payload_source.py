"""The loader of scripts."""

from pathlib import Path

import pytest

import payload


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(payload, "_FOLDER", tmp_path)
    payload.source.cache_clear()
    return tmp_path


def test_scripts_are_joined_in_order_with_one_shebang(folder: Path) -> None:
    (folder / "a.sh").write_text("#!/bin/sh\na=1", encoding="utf-8")
    (folder / "b.sh").write_text("#!/bin/sh\nb=2\n", encoding="utf-8")
    assert payload.source("a.sh", "b.sh") == "#!/bin/sh\na=1\nb=2\n"


def test_what_argo_would_replace_is_refused(folder: Path) -> None:
    (folder / "a.sh").write_text("echo {{workflow.name}}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"payload/a\.sh contains '\{\{'.*Remedy"):
        payload.source("a.sh")


def test_no_script_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one script"):
        payload.source()


@pytest.mark.usefixtures("folder")
def test_a_missing_script_is_told() -> None:
    with pytest.raises(FileNotFoundError):
        payload.source("none.sh")
