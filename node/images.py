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
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from node import image_archive, worker
from node.binaries import family, module_folder, program
from node.locations import PROJECT, cache_folder, state_folder
from node.progress import say, step

DEBIAN = "bookworm"
"""The Debian release of the images; its Python is 3.11."""

FIXTURE_PACKAGES = PROJECT / "images" / "fixtures" / "requirements.txt"

WIDE_TREE = ("argo-workflows", "github.com/argoproj/argo-workflows/v3")
"""Family and module whose tree, some 3,400 files, becomes the wide one of the fixture repositories."""


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


def _static(reference: str, name: str, user: str = "65532") -> Image:
    """An image that holds one statically linked program of the cache, certificates and a /tmp."""

    def fill(root: Path) -> None:
        (root / "bin").mkdir()
        shutil.copy(program(name), root / "bin" / name)
        # argoexec keeps its files there whatever its user is.
        (root / "tmp").mkdir()
        (root / "tmp").chmod(0o1777)
        certificates = root / "etc" / "ssl" / "certs"
        certificates.mkdir(parents=True)
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", certificates)

    settings = image_archive.Settings(entrypoint=(f"/bin/{name}",), environment={"PATH": "/bin"}, user=user)
    return Image(reference, settings, (program(name).parent.name,), fill)


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
        *("--only-binary", ":all:", "--requirement", str(FIXTURE_PACKAGES)),
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
            "coderun.local/workspace:dev",
            image_archive.Settings(environment={"PATH": "/usr/local/bin:/usr/bin:/bin"}),
            (kubectl,),
            _workspace,
            debian=("git", "ca-certificates"),
        ),
        Image(
            "coderun.local/fixtures:dev",
            fixtures,
            (_digest(FIXTURE_PACKAGES), _digest(PROJECT / "tests" / "fixtures"), program("argo").parent.name),
            _fixtures,
            debian=("git", "ca-certificates", "python3"),
        ),
    )


def _debian_layer(packages: tuple[str, ...]) -> Path:
    """The root file system of Debian's minimal packages and those named, made once."""
    key = hashlib.sha256(repr((DEBIAN, packages)).encode()).hexdigest()[:16]
    cached = cache_folder() / "rootfs" / f"{key}.tar"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        staging = cached.with_suffix(".staging.tar")
        with step(f"fetching Debian {DEBIAN} with {', '.join(packages)} (about 1 min)"):
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
            with step(f"making the image {image.reference}"):
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
