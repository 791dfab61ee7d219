"""An image archive holds what containerd looks for, and equal input makes equal bytes."""

import hashlib
import json
import tarfile
from pathlib import Path

from node.image_archive import Settings, pack, write


def _layer(folder: Path, name: str, content: str) -> Path:
    root = folder / f"{name}-root"
    (root / "opt").mkdir(parents=True)
    (root / "opt" / name).write_text(content)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    layer = folder / f"{name}.tar"
    pack(root, layer)
    return layer


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


def test_the_manifest_names_the_configuration_and_the_layers_by_their_hash(tmp_path: Path) -> None:
    layers = [_layer(tmp_path, "low", "1"), _layer(tmp_path, "high", "2")]
    target = tmp_path / "images" / "x.tar"
    write(target, "coderun.local/x:dev", Settings(entrypoint=("/bin/x",), environment={"B": "2", "A": "1"}, user="65532"), layers)
    digests = [hashlib.sha256(layer.read_bytes()).hexdigest() for layer in layers]
    with tarfile.open(target) as archive:
        (image,) = json.loads(_read(archive, "manifest.json"))
        configuration = json.loads(_read(archive, image["Config"]))
        assert image["RepoTags"] == ["coderun.local/x:dev"]
        assert image["Layers"] == [f"{digest}.tar" for digest in digests]
        for name, layer in zip(image["Layers"], layers, strict=True):
            assert _read(archive, name) == layer.read_bytes()
    assert configuration["rootfs"]["diff_ids"] == [f"sha256:{digest}" for digest in digests]
    assert configuration["config"]["Env"] == ["A=1", "B=2"]
    assert configuration["config"]["User"] == "65532"


def test_layers_belong_to_root_and_keep_modes(tmp_path: Path) -> None:
    with tarfile.open(_layer(tmp_path, "file", "x")) as layer:
        assert {(entry.uid, entry.gid, entry.mtime) for entry in layer} == {(0, 0, 0)}
        assert layer.getmember("tmp").mode == 0o1777


def test_equal_input_makes_equal_bytes(tmp_path: Path) -> None:
    written = []
    for attempt in ("one", "two"):
        folder = tmp_path / attempt
        folder.mkdir()
        write(folder / "image.tar", "coderun.local/x:dev", Settings(), [_layer(folder, "file", "x")])
        written.append((folder / "image.tar").read_bytes())
    assert written[0] == written[1]
