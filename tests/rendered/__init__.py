"""Rendered stacks as they were when somebody last looked at them: a change of what is deployed shows in the diff.

``make golden`` writes them anew.
"""

from pathlib import Path
from typing import Final

_PROJECT: Final = Path(__file__).parents[2]

STACK_FILES: Final = {
    "dev": _PROJECT / "Pulumi.dev.yaml",
    "production": _PROJECT / "examples" / "Pulumi.production.yaml",
}
"""Name of a folder beside this file to the stack file that it was rendered of."""

FOLDER: Final = Path(__file__).parent
