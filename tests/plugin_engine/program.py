"""A small Pulumi program whose objects a test describes, run by the real engine."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMAND_SECONDS = 300.0
"""Far above any command here; only a hanging one gets there."""

_PROGRAM = """
import json, pathlib
import pulumi, pulumi_kubernetes as kubernetes

wanted = json.loads(pathlib.Path("wanted.json").read_text())
secret = pulumi.Config().get_secret("password")
provider = kubernetes.Provider("cluster", **wanted["options"])
done = []
for name, (token, inputs) in wanted["objects"].items():
    module, kind = token.split(":")
    group, version = module.split("/")
    made = getattr(getattr(getattr(kubernetes, group), version), kind)
    if kind == "Secret":
        inputs = {**inputs, "string_data": {"password": secret}}
    opts = pulumi.ResourceOptions(provider=provider, depends_on=list(done))
    done.append(made(name, opts=opts, **inputs))
"""


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    text: str


def kubectl(*arguments: str) -> str:
    """What kubectl prints; CalledProcessError if it fails."""
    command = ["kubectl", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=COMMAND_SECONDS).stdout


@dataclass
class Program:
    """One stack of one program, its state in a folder of its own."""

    folder: Path
    namespace: str
    options: dict[str, Any] = field(default_factory=lambda: {"enable_config_map_mutable": True})
    objects: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the project and its stack."""
        (self.folder / "state").mkdir()
        # The interpreter as it was called: resolved, the virtual environment would be lost.
        (self.folder / "Pulumi.yaml").write_text("name: plugin-engine\nruntime:\n  name: python\n")
        (self.folder / "__main__.py").write_text(_PROGRAM)
        self.objects["namespace"] = ("core/v1:Namespace", {"metadata": {"name": self.namespace}})
        self.run("stack", "init", "try")

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command."""
        return {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "made up for this test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }

    def add(self, name: str, token: str, /, *, annotations: dict[str, str] | None = None, **inputs: object) -> None:
        """Describe an object in the program's namespace, or describe it anew."""
        metadata: dict[str, Any] = {"name": name, "namespace": self.namespace}
        if annotations:
            metadata["annotations"] = annotations
        self.objects[name] = (token, {"metadata": metadata, **inputs})

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start pulumi with these arguments."""
        (self.folder / "wanted.json").write_text(json.dumps({"options": self.options, "objects": self.objects}))
        return subprocess.Popen(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def attempt(self, *arguments: str) -> Done:
        """Run pulumi, whatever its exit code."""
        with self.start(*arguments) as process:
            text, _ = process.communicate(timeout=COMMAND_SECONDS)
        return Done(process.returncode, text)

    def run(self, *arguments: str) -> str:
        """Run pulumi; AssertionError with all it printed if it fails."""
        done = self.attempt(*arguments)
        assert done.code == 0, done.text
        return done.text

    def up(self, *arguments: str) -> str:
        """Deploy."""
        return self.run("up", "--yes", "--skip-preview", "--suppress-permalink=true", *arguments)

    def refresh(self) -> str:
        """Refresh the state from the cluster."""
        return self.run("refresh", "--yes", "--skip-preview", "--suppress-permalink=true")

    def destroy(self) -> str:
        """Delete everything."""
        return self.run("destroy", "--yes", "--skip-preview", "--suppress-permalink=true")

    def planned(self) -> dict[str, tuple[str, dict[str, str]]]:
        """What a preview would do: object to operation and changed paths, without what stays."""
        text = self.run("preview", "--json")
        steps = json.loads(text[text.index("{\n") :])["steps"]
        return {
            step["urn"].rsplit("::", 1)[-1]: (step["op"], {path: found["kind"] for path, found in (step.get("detailedDiff") or {}).items()})
            for step in steps
            if step["op"] != "same"
        }

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """An object of the program's namespace, as it is in the cluster."""
        found: dict[str, Any] = json.loads(kubectl("get", kind, name, "--namespace", self.namespace, "--output", "json"))
        return found

    def patch(self, kind: str, name: str, patch: dict[str, Any]) -> None:
        """Change an object by hand."""
        kubectl("patch", kind, name, "--namespace", self.namespace, "--type", "merge", "--patch", json.dumps(patch))
