"""The committed JSON Schema is that of the models."""

from config.json_schema import SCHEMA_FILE, schema_text, stack_file_schema
from tests.unit.stack_files import DEV


def test_the_committed_schema_is_current() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), "run: python -m config.json_schema"


def test_the_dev_stack_names_the_schema() -> None:
    first_line = DEV.read_text(encoding="utf-8").splitlines()[0]
    assert first_line == f"# yaml-language-server: $schema={SCHEMA_FILE.relative_to(DEV.parent)}"


def test_unknown_keys_of_the_program_are_errors_and_others_are_not() -> None:
    config = stack_file_schema()["properties"]["config"]
    assert config["additionalProperties"] is False
    assert list(config["patternProperties"]) == ["^(?!coderun-workspaces:)"]
    assert config["required"] == ["coderun-workspaces:images"]


def test_every_setting_is_described() -> None:
    schema = stack_file_schema()
    for where, model in [("stack", schema["properties"]["config"]), *schema["$defs"].items()]:
        for name, setting in model.get("properties", {}).items():
            assert setting.get("description"), f"{where}.{name}"
