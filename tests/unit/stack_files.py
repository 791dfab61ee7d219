"""Stack files for tests: the smallest right one, and the dev stack's."""

from pathlib import Path
from typing import Any, Final

import yaml

from config.settings import StackConfig
from config.stack_file import parse

DEV: Final = Path(__file__).parents[2] / "Pulumi.dev.yaml"
MINIMAL: Final[dict[str, Any]] = {"images": {"workspace": "registry.example/workspace:1"}}
CREATED_CLASS: Final[dict[str, Any]] = {"name": "fast", "create": {"provisioner": "csi.example.io"}}


def config_with(**settings: object) -> StackConfig:
    """The smallest right settings with some of them set, keys as in a stack file."""
    return parse("test", {**MINIMAL, **settings})


def write_stack_file(folder: Path, stack: str = "test", **settings: object) -> Path:
    """A stack file with the smallest right settings and some of them set."""
    path = folder / f"Pulumi.{stack}.yaml"
    values = {**MINIMAL, **settings}
    path.write_text(yaml.safe_dump({"config": {f"coderun-workspaces:{key}": value for key, value in values.items()}}), encoding="utf-8")
    return path
