"""Writes every Kubernetes object of a stack as YAML, without a cluster and without the engine: ``make render``.

It runs the program itself with Pulumi's mocks and writes down what the program registers, so that the files hold the
same objects that ``pulumi up`` applies.
"""

import argparse
import json
import re
import runpy
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pulumi
import pulumi.runtime
import yaml
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.proto.resource_pb2 import RegisterResourceRequest

from components.names import COMMIT_STATUS_SECRET, HOOKS_SECRET, WEBHOOK_SECRET
from config.errors import PREFIX, ConfigError
from config.settings import StackConfig
from config.stack_file import Settings, check, read_stack_file, stack_name

_PROGRAM: Final = Path(__file__).parent.parent / "__main__.py"
_KUBERNETES_TYPE: Final = re.compile(r"kubernetes:(?P<version>[^:]+):(?P<kind>[A-Za-z]+)")
# Long enough for the one secret whose length the program checks.
_WITHHELD: Final = "withheld: a secret of the stack"
_HEAD: Final = "# Made by `make render`, which writes it anew.\n"


@dataclass(frozen=True)
class Registered:
    """A resource that the program registered.

    Attributes:
        type: Pulumi's type token, for example ``kubernetes:core/v1:ConfigMap``.
        name: Name in the stack.
        inputs: What was given, with the cluster's spelling of the keys.
        urn: The engine's name.
        protect: Whether the engine refuses to delete it.
        provider: URN of what makes it; empty when it names none.
    """

    type: str
    name: str
    inputs: dict[str, Any]
    urn: str
    protect: bool
    provider: str

    @property
    def manifest(self) -> dict[str, Any] | None:
        """The Kubernetes object, or None when it is something else."""
        match = _KUBERNETES_TYPE.fullmatch(self.type)
        if match is None:
            return None
        version = match["version"].removeprefix("core/")
        # A patch is a part of an object that is there already: it is applied like a whole one, server side.
        head = {"apiVersion": version, "kind": match["kind"].removesuffix("Patch")}
        return {**head, **{key: value for key, value in self.inputs.items() if key not in head}}


class RecordingMocks(pulumi.runtime.Mocks):
    """Stands in for the engine, and answers as if everything had been made."""

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        """Answer a registration."""
        return f"{args.name}-id", args.inputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        """Refuse: the program asks the cluster for nothing."""
        raise AssertionError(f"the program called {args.token}")


class RecordingMonitor(MockMonitor):
    """Takes down what is registered, with the options that mocks aren't told."""

    def __init__(self, mocks: pulumi.runtime.Mocks) -> None:
        """Begin with an empty record."""
        super().__init__(mocks)
        self.registered: list[Registered] = []

    def RegisterResource(self, request: RegisterResourceRequest) -> Any:  # noqa: ANN401, N802 - the monitor's own
        """Take a resource down."""
        response = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if response.urn in self.resources:
            inputs = whole_numbers(self.resources[response.urn].state)
            # A reference to a provider is its URN and its id.
            provider = request.provider.rpartition("::")[0]
            self.registered.append(Registered(request.type, request.name, inputs, response.urn, request.protect, provider))
        return response


def whole_numbers(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Undo what the engine's wire format does to numbers: it knows floating point only, Kubernetes wants 5 and not 5.0."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {key: whole_numbers(inner) for key, inner in value.items()}
        case list():
            return [whole_numbers(inner) for inner in value]
        case _:
            return value


def run_program(stack_file: Path) -> list[Registered]:
    """Run the program with the settings of a stack file and list what it registers.

    Args:
        stack_file: For example ``Pulumi.dev.yaml``. Encrypted values are replaced by a placeholder.

    Returns:
        Every resource, in no particular order.

    Raises:
        ConfigError: A setting is wrong.
    """
    settings = read_stack_file(stack_file)
    # Checked as the file has it: once secrets are replaced, one in clear could not be told from an encrypted one.
    check(settings)
    return _run(settings, stack_name(stack_file))


def _run(settings: Settings, stack: str) -> list[Registered]:
    mocks = RecordingMocks()
    monitor = RecordingMonitor(mocks)
    pulumi.runtime.set_mocks(mocks, project=PREFIX.removesuffix(":"), stack=stack, monitor=monitor)
    pulumi.runtime.set_all_config(
        {PREFIX + key: _as_engine(value) for key, value in settings.values.items()},
        [PREFIX + key for key, value in settings.values.items() if _holds_secret(value)],
    )

    # The decorator, published for tests, is what waits for all registrations.
    run: Callable[[], None] = pulumi.runtime.test(_program)  # type: ignore[no-untyped-call]
    run()
    return monitor.registered


def _program() -> None:
    runpy.run_path(str(_PROGRAM), run_name="__main__")


def render(stack_file: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Render a stack.

    Args:
        stack_file: For example ``Pulumi.dev.yaml``.

    Returns:
        File names with their YAML, and the names (``namespace/name``) of Secrets that have to be there but are left out, with their keys.

    Raises:
        ConfigError: A setting is wrong.
    """
    settings = read_stack_file(stack_file)
    config = check(settings)
    files: dict[str, str] = {}
    for resource in _run(settings, stack_name(stack_file)):
        manifest = resource.manifest
        if manifest is not None and manifest["kind"] != "Secret":
            files[file_name(manifest)] = _as_yaml(manifest)
    return dict(sorted(files.items())), _secrets(config)


def _secrets(config: StackConfig) -> dict[str, str]:
    needed = {f"{config.namespace}/{credential.secret}": "password and, optionally, username" for credential in config.credentials}
    if events := config.events:
        needed[f"{events.namespace}/{WEBHOOK_SECRET}"] = "secret"
        if events.hooks:
            needed[f"{events.namespace}/{HOOKS_SECRET}"] = "privateKey" if events.hooks.app else "token"
        if events.commit_status:
            needed.setdefault(f"{config.namespace}/{events.commit_status.secret_name or COMMIT_STATUS_SECRET}", "password")
    return dict(sorted(needed.items()))


def _remove_rendered(folder: Path) -> None:
    """Remove what was rendered here before, of another stack perhaps: it would be applied and checked along with the rest."""
    for path in folder.glob("*.yaml"):
        with path.open(encoding="utf-8") as file:
            is_rendered = file.readline() == _HEAD
        if is_rendered:
            path.unlink()


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are, so that a script in a manifest can be read."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def _as_yaml(manifest: dict[str, Any]) -> str:
    return _HEAD + yaml.dump(manifest, Dumper=_Dumper, sort_keys=True, allow_unicode=True, width=1000)


def file_name(manifest: dict[str, Any]) -> str:
    """Name the file of an object: ``<kind>-<namespace>-<name>.yaml``, lower case."""
    metadata = manifest["metadata"]
    parts: Iterable[str] = (manifest["kind"], *([metadata["namespace"]] if "namespace" in metadata else []), metadata["name"])
    return "-".join(parts).lower() + ".yaml"


def _as_engine(value: object) -> str:
    plain = _decrypted(value)
    return plain if isinstance(plain, str) else json.dumps(plain)


def _decrypted(value: object) -> object:
    if isinstance(value, dict):
        return _WITHHELD if value.keys() == {"secure"} else {key: _decrypted(inner) for key, inner in value.items()}
    return [_decrypted(inner) for inner in value] if isinstance(value, list) else value


def _holds_secret(value: object) -> bool:
    return _decrypted(value) != value


def main(arguments: list[str] | None = None) -> int:
    """Write the files; the exit code is 1 when the stack file is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m components.render",
        description="Write every Kubernetes object of a stack, <kind>-<namespace>-<name>.yaml. Needs no cluster and no engine. Leaves Secrets out.",
    )
    parser.add_argument("--config", type=Path, default=Path("Pulumi.dev.yaml"), help="stack file (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("build/rendered"), help="folder to write to (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        files, secrets = render(options.config)
    except (ConfigError, pulumi.RunError) as error:
        print(error, file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    _remove_rendered(options.out)
    for name, text in files.items():
        (options.out / name).write_text(text, encoding="utf-8")
    print(f"{len(files)} objects written to {options.out}")
    for secret, keys in secrets.items():
        print(f"Secret {secret} is left out: provide it, with {keys}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
