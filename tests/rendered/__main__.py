"""Writes the rendered stacks anew: ``python -m tests.rendered``."""

import shutil
import sys

from components import render
from tests.rendered import FOLDER, STACK_FILES


def main() -> int:
    """Render every stack; the exit code is 1 when one can't be rendered."""
    for name, stack_file in STACK_FILES.items():
        shutil.rmtree(FOLDER / name, ignore_errors=True)
        if render.main(["--config", str(stack_file), "--out", str(FOLDER / name)]) != 0:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
