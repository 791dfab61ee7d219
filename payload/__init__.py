"""What runs inside the cluster: POSIX shell scripts, and the loader that puts them into Argo's script templates.

A script's text becomes part of the WorkflowTemplate when the stack is rendered, so that a waiting run keeps the
script that it was submitted with, whatever a later ``pulumi up`` brings.
"""

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
"""Where the scripts are."""

_SHEBANG = "#!"
_TEMPLATE_TAG = "{{"


@cache
def source(*file_names: str, folder: Path = FOLDER) -> str:
    """Join scripts into one, in the given order, for ``script.source`` of a template.

    Only the first file keeps its shebang line. Later files may use the functions of earlier ones.

    Args:
        file_names: Names of files in the folder, at least one.
        folder: Where they are: here, unless a test has scripts of its own.

    Returns:
        The text of one script, ending in a newline.

    Raises:
        ValueError: No file is named, or one contains ``{{``: Argo would replace it, or evaluate it.
        FileNotFoundError: A file isn't there.
    """
    if not file_names:
        raise ValueError("payload.source needs the name of at least one script")
    parts: list[str] = []
    for position, file_name in enumerate(file_names):
        text = (folder / file_name).read_text(encoding="utf-8")
        if _TEMPLATE_TAG in text:
            raise ValueError(f"payload/{file_name} contains '{{{{', which Argo would replace. Remedy: hand the value in by an environment variable.")
        if position and text.startswith(_SHEBANG):
            text = text.partition("\n")[2]
        parts.append(text if text.endswith("\n") else text + "\n")
    return "".join(parts)
