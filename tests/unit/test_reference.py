"""docs/parameters.md says what the models say."""

import pytest

from config.reference import BEGIN, DOCUMENT, END, table, with_table


def test_the_table_in_the_docs_is_current() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_table(text) == text, "run: python -m config.reference"


def test_parts_and_lists_are_followed_to_their_settings() -> None:
    rows = table()
    assert "| `repos[].defaultLimit` | `1` |" in rows
    assert "| `storage.shared.storageClass.create.provisioner` | required |" in rows


def test_a_document_without_a_place_for_it_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks the lines"):
        with_table(f"{BEGIN} but no {END[:5]}")
