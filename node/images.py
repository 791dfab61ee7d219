"""The node's container images, made without a container engine and kept as archives in the cache.

buildah assembles them from programs that were built here and from Debian packages; containerd
imports the archives. Every image's archive is keyed by the hash of what goes into it.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from node import worker
from node.binaries import program
from node.locations import PROJECT, cache_folder
from node.progress import say, step

DEBIAN = "bookworm"
"""The Debian release of the images; its Python is 3.11."""

FIXTURE_PACKAGES = PROJECT / "images" / "fixtures" / "requirements.txt"


class ImageError(Exception):
    """An image could not be made; the message ends with the last lines of the tool."""


@dataclass(frozen=True)
class Image:
    """One image: its reference, its Containerfile, and how its build context is filled.

    `inputs` is everything that the content depends on, for the cache key.
    """

    reference: str
    containerfile: str
    inputs: tuple[str, ...]
    fill: Callable[[Path], None]


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


def _static(reference: str, *names: str, user: str = "65532") -> Image:
    """An image that holds nothing but statically linked programs of the cache and a /tmp."""

    def fill(context: Path) -> None:
        (context / "bin").mkdir()
        for name in names:
            shutil.copy(program(name), context / "bin" / name)
        # argoexec keeps its files there whatever its user is.
        (context / "tmp").mkdir()
        (context / "tmp").chmod(0o1777)
        certificates = context / "etc" / "ssl" / "certs"
        certificates.mkdir(parents=True)
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", certificates)

    return Image(
        reference,
        f"FROM scratch\nCOPY . /\nENV PATH=/bin\nUSER {user}\nENTRYPOINT [\"/bin/{names[0]}\"]\n",
        tuple(program(name).parent.name for name in names),
        fill,
    )


def _busybox(context: Path) -> None:
    (context / "bin").mkdir()
    shutil.copy("/bin/busybox", context / "bin" / "busybox")
    for applet in ("sh", "sleep", "mkdir", "rm", "chmod"):
        (context / "bin" / applet).symlink_to("busybox")
    (context / "tmp").mkdir()
    (context / "tmp").chmod(0o1777)


def _debian(archive: Path, packages: tuple[str, ...]) -> None:
    """Make a root file system of Debian's minimal packages and those named."""
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
    shutil.copy(cached, archive)


def _workspace(context: Path) -> None:
    _debian(context / "rootfs.tar", ("git", "ca-certificates"))
    shutil.copy(program("kubectl"), context / "kubectl")


def _fixtures(context: Path) -> None:
    _debian(context / "rootfs.tar", ("git", "ca-certificates", "python3"))
    _run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--target", str(context / "packages"), "--python-version", "3.11"),
        *("--only-binary", ":all:", "--requirement", str(FIXTURE_PACKAGES)),
    )
    fixtures = context / "fixtures" / "tests"
    shutil.copytree(
        PROJECT / "tests" / "fixtures",
        fixtures / "fixtures",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    (fixtures / "__init__.py").touch()


def images() -> tuple[Image, ...]:
    """Every image of the node, in the order in which a start needs them."""
    return (
        Image(
            worker.SANDBOX_IMAGE,
            'FROM scratch\nCOPY . /\nENTRYPOINT ["/bin/sleep", "2147483647"]\n',
            (_digest(Path("/bin/busybox")),),
            _busybox,
        ),
        _static("coderun.local/coredns:dev", "coredns", user="0"),
        _static("coderun.local/local-path-provisioner:dev", "local-path-provisioner", user="0"),
        _static("coderun.local/workflow-controller:dev", "workflow-controller"),
        _static("coderun.local/argoexec:dev", "argoexec", user="0"),
        Image(
            "coderun.local/workspace:dev",
            "FROM scratch\nADD rootfs.tar /\nCOPY kubectl /usr/local/bin/kubectl\n"
            "ENV PATH=/usr/local/bin:/usr/bin:/bin\n",
            (DEBIAN, program("kubectl").parent.name),
            _workspace,
        ),
        Image(
            "coderun.local/fixtures:dev",
            "FROM scratch\nADD rootfs.tar /\nCOPY packages /opt/packages\n"
            "COPY fixtures /opt/fixtures\nENV PYTHONPATH=/opt/fixtures:/opt/packages"
            " PYTHONDONTWRITEBYTECODE=1 PATH=/usr/bin:/bin\nWORKDIR /opt/fixtures\n",
            (DEBIAN, _digest(FIXTURE_PACKAGES), _digest(PROJECT / "tests" / "fixtures")),
            _fixtures,
        ),
    )


def _archive(image: Image) -> Path:
    name = image.reference.rpartition("/")[2].partition(":")[0]
    key = hashlib.sha256(repr((image.containerfile, image.inputs)).encode()).hexdigest()[:16]
    return cache_folder() / "images" / f"{name}-{key}.tar"


def _build(image: Image) -> None:
    archive = _archive(image)
    archive.parent.mkdir(parents=True, exist_ok=True)
    staging = archive.with_suffix(".staging.tar")
    staging.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        context = Path(folder) / "context"
        context.mkdir()
        image.fill(context)
        containerfile = Path(folder) / "Containerfile"
        containerfile.write_text(image.containerfile)
        storage = {"STORAGE_DRIVER": "vfs"}
        places = ("--root", f"{folder}/root", "--runroot", f"{folder}/run")
        _run(
            *("buildah", *places, "bud", "--isolation", "chroot", "--quiet"),
            *("--file", str(containerfile), "--tag", image.reference, str(context)),
            environment=storage,
        )
        target = f"docker-archive:{staging}:{image.reference}"
        _run("buildah", *places, "push", "--quiet", image.reference, target, environment=storage)
    staging.rename(archive)


def build(references: list[str] | None = None) -> None:
    """Make the named images (all by default) that are not in the cache; raises ImageError."""
    for image in images():
        wanted = references is None or image.reference in references
        if wanted and not _archive(image).exists():
            with step(f"making the image {image.reference}"):
                _build(image)


def load(references: list[str] | None = None) -> None:
    """Import the named images (all by default) that containerd does not have yet."""
    marks = worker.socket().parent.parent / "images"
    marks.mkdir(parents=True, exist_ok=True)
    for image in images():
        archive = _archive(image)
        mark = marks / archive.name
        if (references is None or image.reference in references) and not mark.exists():
            _run(*worker.ctr("images", "import", str(archive)))
            mark.touch()
            say(f"    loaded {image.reference}")
