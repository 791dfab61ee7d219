"""Prints every semaphore of a stack: ``make keys``."""

import argparse
import sys
from pathlib import Path

from config.errors import ConfigError
from config.repos import key_table, semaphore_limits
from config.stack_file import load_stack_file


def main(arguments: list[str] | None = None) -> int:
    """Print one line a semaphore; the exit code is 1 when the stack file is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m config.keys",
        description="Print owner/repo, branch (* is every branch without a limit of its own), semaphore key and limit, tab separated.",
    )
    parser.add_argument("--config", type=Path, default=Path("Pulumi.dev.yaml"), help="stack file (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        config = load_stack_file(options.config)
        semaphore_limits(config)  # refuses what no ConfigMap can hold
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    for row in key_table(config):
        print(*row, sep="\t")
    return 0


if __name__ == "__main__":
    sys.exit(main())
