"""The node's container images, made without a container engine and kept as archives in the cache.

They are assembled from programs that were built here and from Debian packages. Every archive is keyed by the hash of what goes into
it, so an image is made again when, and only when, something of it changed.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from node import image_archive, worker
from node.binaries import family, go_root, module_folder, program
from node.locations import PROJECT, cache_folder, state_folder
from node.progress import say, step

DEBIAN = "bookworm"
"""The Debian release of the images; its Python is 3.11."""

FIXTURE_REQUIREMENTS = PROJECT / "images" / "fixtures" / "requirements.txt"

WIDE_TREE = ("argo-workflows", "github.com/argoproj/argo-workflows/v3")
"""Family and module whose tree, some 3,400 files, becomes the wide one of the fixture repositories."""

ARGO_EVENTS = "coderun.local/argo-events:v1.9.10"
"""The version stands in the tag, as in a release: it is where `make doctor` reads it."""

_WORKSPACE_PACKAGES = ("git", "ca-certificates", "curl")
_FIXTURES_PACKAGES = ("git", "ca-certificates", "python3")

_fetching = threading.Lock()


class ImageError(Exception):
    """An image could not be made; the message ends with the last lines of the tool."""


@dataclass(frozen=True)
class Image:
    """One image: its reference, how its own layer is filled, and the Debian packages below that.

    `inputs` is everything that the content depends on, for the cache key.
    """

    reference: str
    settings: image_archive.Settings
    inputs: tuple[str, ...]
    fill: Callable[[Path], None]
    debian: tuple[str, ...] = ()

    @property
    def archive(self) -> Path:
        """Where the image is, or will be."""
        name = self.reference.rpartition("/")[2].partition(":")[0]
        content = repr((self.reference, self.settings, self.inputs, self.debian, DEBIAN, platform.machine()))
        return cache_folder() / "images" / f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:16]}.tar"


def _run(*command: str, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise ImageError(f"`{' '.join(command)}` failed:\n{tail}")


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        if "__pycache__" not in file.parts:
            digest.update(str(file.relative_to(path)).encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _copy_program(root: Path, name: str, folder: str) -> None:
    """A statically linked program of the cache, certificates and a /tmp."""
    (root / folder).mkdir(exist_ok=True)
    shutil.copy(program(name), root / folder / name)
    # argoexec keeps its files there whatever its user is.
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    certificates = root / "etc" / "ssl" / "certs"
    certificates.mkdir(parents=True)
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", certificates)


def _static(reference: str, name: str, user: str = "65532", folder: str = "bin") -> Image:
    """An image of one program."""
    settings = image_archive.Settings(entrypoint=(f"{Path('/') / folder / name}",), environment={"PATH": "/bin"}, user=user)
    return Image(reference, settings, (program(name).parent.name,), partial(_copy_program, name=name, folder=folder))


def _argo_events(root: Path) -> None:
    _copy_program(root, "argo-events", "bin")
    # Go's own time zones: filters and resets of a Sensor may name one.
    shutil.copy(go_root() / "lib" / "time" / "zoneinfo.zip", root / "zoneinfo.zip")


def _busybox(root: Path) -> None:
    (root / "bin").mkdir()
    shutil.copy("/bin/busybox", root / "bin" / "busybox")
    for applet in ("sh", "sleep", "mkdir", "rm", "chmod"):
        (root / "bin" / applet).symlink_to("busybox")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)


def _workspace(root: Path) -> None:
    target = root / "usr" / "local" / "bin"
    target.mkdir(parents=True)
    shutil.copy(program("kubectl"), target / "kubectl")


def _fixtures(root: Path) -> None:
    code = root / "opt" / "fixtures"
    _run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--target", str(root / "opt" / "packages"), "--python-version", "3.11"),
        *("--only-binary", ":all:", "--requirement", str(FIXTURE_REQUIREMENTS)),
    )
    shutil.copytree(PROJECT / "tests" / "fixtures", code / "tests" / "fixtures", ignore=shutil.ignore_patterns("__pycache__"))
    (code / "tests" / "__init__.py").touch()
    # Baked in, so that a start of the git server copies files and makes no history.
    _run(
        *(sys.executable, "-m", "tests.fixtures.git_server.repositories", "--root", str(code / "repos")),
        *("--history", str(PROJECT), "--tree", str(module_folder(family(WIDE_TREE[0]), WIDE_TREE[1]))),
        environment={"PYTHONPATH": str(PROJECT)},
    )


@cache
def images() -> tuple[Image, ...]:
    """Every image of the node, with keys of what the files hold at the first call: `build` and `load` mean the same."""
    kubectl = program("kubectl").parent.name
    python_path = "/opt/fixtures:/opt/packages"
    fixtures = image_archive.Settings(environment={"PATH": "/usr/bin:/bin", "PYTHONPATH": python_path}, folder="/opt/fixtures")
    return (
        Image(
            worker.SANDBOX_IMAGE,
            image_archive.Settings(entrypoint=("/bin/sleep", "2147483647")),
            (_digest(Path("/bin/busybox")),),
            _busybox,
        ),
        _static("coderun.local/coredns:dev", "coredns", user="0"),
        _static("coderun.local/local-path-provisioner:dev", "local-path-provisioner", user="0"),
        _static("coderun.local/workflow-controller:dev", "workflow-controller"),
        _static("coderun.local/argoexec:dev", "argoexec", user="0"),
        Image(
            ARGO_EVENTS,
            image_archive.Settings(("/bin/argo-events",), {"PATH": "/bin", "ZONEINFO": "/zoneinfo.zip"}, user="65532"),
            (program("argo-events").parent.name,),
            _argo_events,
        ),
        # The bus's start command is /nats-server, as in the image that it stands for.
        _static("coderun.local/nats:2.10.29", "nats-server", folder=""),
        # Stands for the bus's two side-cars, which no package registry has: one tells the server to read its configuration again when that
        # changes, the other offers its figures to Prometheus. Neither carries an event. Without the first a changed EventBus waits for a new
        # pod. Both are given arguments and no command, so the shell takes the arguments as its own and ignores them.
        Image(
            "coderun.local/nats-sidecar:dev",
            image_archive.Settings(("/bin/sh", "-c", "exec sleep 2147483647"), user="65532"),
            (_digest(Path("/bin/busybox")),),
            _busybox,
        ),
        Image(
            "coderun.local/workspace:dev",
            image_archive.Settings(environment={"PATH": "/usr/local/bin:/usr/bin:/bin"}),
            (kubectl,),
            _workspace,
            debian=_WORKSPACE_PACKAGES,
        ),
        Image(
            "coderun.local/fixtures:dev",
            fixtures,
            (_digest(FIXTURE_REQUIREMENTS), _digest(PROJECT / "tests" / "fixtures"), program("argo").parent.name),
            _fixtures,
            debian=_FIXTURES_PACKAGES,
        ),
    )


def _debian_layer(packages: tuple[str, ...]) -> Path:
    """The root file system of Debian's minimal packages and those named, made once."""
    key = hashlib.sha256(repr((DEBIAN, packages)).encode()).hexdigest()[:16]
    cached = cache_folder() / "rootfs" / f"{key}.tar"
    with _fetching:
        if not cached.exists():
            cached.parent.mkdir(parents=True, exist_ok=True)
            staging = cached.with_suffix(".staging.tar")
            _run(
                "mmdebstrap",
                "--variant=minbase",
                f"--include={','.join(packages)}",
                "--dpkgopt=path-exclude=/usr/share/doc/*",
                "--dpkgopt=path-exclude=/usr/share/man/*",
                "--dpkgopt=path-exclude=/usr/share/locale/*",
                DEBIAN,
                str(staging),
            )
            staging.rename(cached)
    return cached


def _fetch_debian_layers() -> None:
    for packages in (_WORKSPACE_PACKAGES, _FIXTURES_PACKAGES):
        with suppress(ImageError):
            _debian_layer(packages)


def fetch_debian_layers() -> None:
    """Begin to fetch what images are based on, where it is missing, and return; a failure is left to `build`, which says it better."""
    threading.Thread(target=_fetch_debian_layers).start()


def _build(image: Image) -> None:
    layers = [_debian_layer(image.debian)] if image.debian else []
    with tempfile.TemporaryDirectory() as folder:
        root, own = Path(folder) / "root", Path(folder) / "own.tar"
        root.mkdir()
        image.fill(root)
        image_archive.pack(root, own)
        image_archive.write(image.archive, image.reference, image.settings, [*layers, own])


def build(references: list[str] | None = None) -> None:
    """Make the named images (all by default) that are not in the cache; raises ImageError."""
    for image in images():
        wanted = references is None or image.reference in references
        if wanted and not image.archive.exists():
            base = f" (with Debian's {', '.join(image.debian)}: about 1 min the first time)" if image.debian else ""
            with step(f"making the image {image.reference}{base}"):
                _build(image)


def load(references: list[str] | None = None) -> None:
    """Import the named images (all by default) that containerd does not have yet."""
    marks = state_folder() / "images"
    marks.mkdir(parents=True, exist_ok=True)
    for image in images():
        mark = marks / image.archive.name
        if (references is None or image.reference in references) and not mark.exists():
            _run(*worker.ctr("images", "import", str(image.archive)))
            mark.touch()
            say(f"    loaded {image.reference}")
