"""The list of policies in docs/policies.md, made from their metadata.

Run ``python -m policies.reference`` to write it anew after a change of the policies.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from policies.definition import DOCUMENT, Rule
from policies.rules import RULES

_FILE: Final = Path(__file__).parent.parent / DOCUMENT
BEGIN: Final = "<!-- policies: made by `python -m policies.reference` -->"
END: Final = "<!-- end of policies -->"


def policies_text() -> str:
    """Render the policies: a table, then a section each."""
    lines = ["| policy | severity | level | what holds |", "| --- | --- | --- | --- |"]
    for rule in RULES:
        policy = rule.policy
        assert policy.severity is not None
        assert policy.enforcement_level is not None
        lines.append(f"| [{rule.name}](#{rule.name}) | {policy.severity.value} | {policy.enforcement_level.value} | {policy.description} |")
    for rule in RULES:
        lines += ["", *_section(rule)]
    return "\n".join(lines)


def _section(rule: Rule[Any]) -> Iterator[str]:
    policy, framework = rule.policy, rule.policy.framework
    assert framework is not None
    yield f"### {rule.name}"
    yield ""
    yield policy.description
    yield ""
    yield f"- **What to do**: {policy.remediation_steps}"
    yield f"- **Looks at**: {_kinds(rule.looks_at)}"
    specification = f", {framework.specification}" if framework.specification else ""
    yield f"- **From**: {framework.name} {framework.version}{specification}"
    yield f"- **Tags**: {', '.join(policy.tags or ())}"
    if rule.needs_engine:
        yield "- **Only with the engine**: no manifest says what it looks at, so `make policy` skips it."
    settings = [(name, schema) for name, schema in (policy.config_schema.properties if policy.config_schema else {}).items() if name != "exemptions"]
    if settings:
        yield ""
        yield "| setting | default | meaning |"
        yield "| --- | --- | --- |"
        for name, schema in settings:
            yield f"| `{name}` | {_shown(schema.get('default'))} | {schema['description']} |"


def _kinds(looks_at: tuple[str, ...]) -> str:
    return "every Kubernetes object" if looks_at == ("*",) else ", ".join(kind.rpartition("/")[2] for kind in looks_at)


def _shown(default: object) -> str:
    return "`" + json.dumps(default).replace("|", "\\|") + "`"


def with_policies(document: str) -> str:
    """Return the document with its list replaced by the current one; ValueError if it has no place for it."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        message = f"{_FILE.name} lacks the lines {BEGIN!r} and {END!r}"
        raise ValueError(message)
    return f"{before}{BEGIN}\n\n{policies_text()}\n\n{END}{after}"


def main() -> int:
    """Write the list into the document; the exit code is 0."""
    argparse.ArgumentParser(prog="python -m policies.reference", description="Write the list of policies into docs/policies.md.").parse_args()
    _FILE.write_text(with_policies(_FILE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
