"""The table of the stack's settings in docs/parameters.md, made from the models.

Run ``python -m config.reference`` to write it anew after a change of the models.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from config.settings import StackConfig

DOCUMENT: Final = Path(__file__).parent.parent / "docs" / "parameters.md"
BEGIN: Final = "<!-- settings: made by `python -m config.reference` -->"
END: Final = "<!-- end of settings -->"


def _rows(schema: dict[str, Any], definitions: dict[str, Any], prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, setting in schema.get("properties", {}).items():
        required = name in schema.get("required", ())
        default = "required" if required else _shown(setting.get("default"))
        inner = _model_of(setting, definitions)
        # A part with settings of its own has no default worth telling but theirs.
        yield f"{prefix}{name}", "" if inner and not required else default, setting.get("description", "")
        if inner:
            yield from _rows(inner, definitions, f"{prefix}{name}{'[]' if setting.get('type') == 'array' else ''}.")


def _model_of(setting: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any] | None:
    for candidate in (setting, setting.get("items", {}), *setting.get("anyOf", ()), *setting.get("allOf", ())):
        if "$ref" in candidate:
            model: dict[str, Any] = definitions[candidate["$ref"].rpartition("/")[2]]
            return model
    return None


def _shown(default: object) -> str:
    return "" if default in (None, {}, []) else f"`{json.dumps(default)}`"


def table() -> str:
    """Render the settings as a Markdown table, a row each, parts before what they hold."""
    schema = StackConfig.model_json_schema(by_alias=True)
    lines = ["| key | default | meaning |", "| --- | --- | --- |"]
    lines += [f"| `{key}` | {default} | {meaning.replace('|', chr(92) + '|')} |" for key, default, meaning in _rows(schema, schema["$defs"], "")]
    return "\n".join(lines)


def with_table(document: str) -> str:
    """Return the document with its table replaced by the current one; ValueError if it has no place for it."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        message = f"{DOCUMENT.name} lacks the lines {BEGIN!r} and {END!r}"
        raise ValueError(message)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> int:
    """Write the table into the document; the exit code is 0."""
    argparse.ArgumentParser(prog="python -m config.reference", description="Write the table of settings into docs/parameters.md.").parse_args()
    DOCUMENT.write_text(with_table(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
