"""What is rendered: the same files each time, and those that were looked at."""

from pathlib import Path

import pytest
import yaml

from components.render import main, render
from tests.rendered import FOLDER, STACK_FILES
from tests.unit.stack_files import write_stack_file


@pytest.mark.parametrize("name", STACK_FILES)
def test_rendered_stacks_are_those_that_were_looked_at(name: str) -> None:
    files, _ = render(STACK_FILES[name])
    kept = {path.name: path.read_text(encoding="utf-8") for path in (FOLDER / name).iterdir()}
    assert sorted(files) == sorted(kept), "run: make golden, and look at the diff"
    for file, text in files.items():
        assert text == kept[file], f"{file}: run: make golden, and look at the diff"


def test_rendering_is_stable() -> None:
    """Resources are registered in no fixed order; the files are in one, and so is everything in them."""
    first, second = (render(STACK_FILES["production"]) for _ in range(2))
    assert first == second
    assert list(first[0]) == sorted(first[0])


def test_a_file_an_object() -> None:
    for name in STACK_FILES:
        for path in (FOLDER / name).iterdir():
            (manifest,) = yaml.safe_load_all(path.read_text(encoding="utf-8"))
            metadata = manifest["metadata"]
            namespace = f"{metadata['namespace']}-" if "namespace" in metadata else ""
            assert path.name == f"{manifest['kind']}-{namespace}{metadata['name']}.yaml".lower()


def test_secrets_are_left_out_and_named() -> None:
    files, secrets = render(STACK_FILES["production"])
    assert [name for name in files if name.startswith("secret")] == []
    assert list(secrets) == ["argo/git-exampleorg-rex", "argo/git-exampleorg.reader", "argo/git-partner-rex"]
    assert not any("made-up" in text or "withheld" in text for text in files.values())


def test_what_an_earlier_stack_left_does_not_stay(tmp_path: Path) -> None:
    """A folder that is rendered into again holds that stack and nothing of another, or `make policy` would check both."""
    out = tmp_path / "out"
    assert main(["--config", str(STACK_FILES["production"]), "--out", str(out)]) == 0
    (out / "mine.yaml").write_text("kind: Mine\n", encoding="utf-8")
    assert main(["--config", str(write_stack_file(tmp_path)), "--out", str(out)]) == 0
    assert "storageclass-coderun-fast-production.yaml" not in {path.name for path in out.iterdir()}
    assert (out / "mine.yaml").exists(), "only what was rendered is removed"
