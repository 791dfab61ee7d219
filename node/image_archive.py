"""Writes container images as archives that `ctr images import` and `docker load` read.

The format is the one of `docker save` (moby's image/spec v1.2): a manifest, a configuration that lists the layers by the hash of
their tar, and the layers. Files are owned by root and bear no time of their own, so equal input makes equal bytes.
"""

import hashlib
import io
import json
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class Settings:
    """What a container of the image starts with."""

    entrypoint: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    user: str = ""
    folder: str = "/"


def pack(folder: Path, layer: Path) -> None:
    """Make a layer of everything below a folder."""

    def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = 0
        return entry

    with tarfile.open(layer, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, arcname=path.name, filter=anonymous)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _add(archive: tarfile.TarFile, name: str, content: BinaryIO, size: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = size
    archive.addfile(entry, content)


def write(target: Path, reference: str, settings: Settings, layers: list[Path]) -> None:
    """Write the image of these layers, lowest first, to `target`; it appears whole or not at all."""
    digests = [_sha256(layer) for layer in layers]
    configuration = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Entrypoint": list(settings.entrypoint),
                "Env": [f"{name}={value}" for name, value in sorted(settings.environment.items())],
                "User": settings.user,
                "WorkingDir": settings.folder,
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        },
    ).encode()
    names = [f"{digest}.tar" for digest in digests]
    configuration_name = f"{hashlib.sha256(configuration).hexdigest()}.json"
    manifest = json.dumps([{"Config": configuration_name, "RepoTags": [reference], "Layers": names}]).encode()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        staging = Path(folder) / "image.tar"
        with tarfile.open(staging, "w") as archive:
            _add(archive, configuration_name, io.BytesIO(configuration), len(configuration))
            for name, layer in zip(names, layers, strict=True):
                with layer.open("rb") as content:
                    _add(archive, name, content, layer.stat().st_size)
            _add(archive, "manifest.json", io.BytesIO(manifest), len(manifest))
        staging.rename(target)
