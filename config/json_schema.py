"""JSON Schema of a stack file, for editors and CI.

Run ``python -m config.json_schema`` to write config/stack.schema.json anew after a change of the models.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from config.errors import PREFIX
from config.settings import StackConfig

SCHEMA_FILE: Final = Path(__file__).parent / "stack.schema.json"


def stack_file_schema() -> dict[str, Any]:
    """Describe a whole stack file: this program's keys exactly, other projects' keys loosely."""
    model = StackConfig.model_json_schema(by_alias=True)
    properties = {PREFIX + key: _as_pulumi_writes_it(schema) for key, schema in model["properties"].items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stack file of coderun-workspaces (Pulumi.<stack>.yaml)",
        "type": "object",
        "required": ["config"],
        "properties": {
            "config": {
                "type": "object",
                "required": [PREFIX + key for key in model.get("required", [])],
                "properties": properties,
                "patternProperties": {f"^(?!{PREFIX})": True},
                "additionalProperties": False,
            },
        },
        "$defs": model["$defs"],
    }


def schema_text() -> str:
    """Render the schema as it is committed."""
    return json.dumps(stack_file_schema(), indent=2, ensure_ascii=False) + "\n"


def _as_pulumi_writes_it(schema: dict[str, Any]) -> dict[str, Any]:
    # `pulumi config set parallelism 7` writes the number as a text.
    if schema.get("type") != "integer":
        return schema
    return {"anyOf": [schema, {"type": "string", "pattern": "^[1-9][0-9]*$"}], "description": schema["description"], "default": schema["default"]}


def main(arguments: list[str] | None = None) -> int:
    """Write the schema; the exit code is 0."""
    parser = argparse.ArgumentParser(prog="python -m config.json_schema", description="Write the JSON Schema of stack files.")
    parser.add_argument("--out", type=Path, default=SCHEMA_FILE, help="file to write (default: %(default)s)")
    options = parser.parse_args(arguments)
    options.out.write_text(schema_text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
