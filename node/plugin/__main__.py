"""Serve the stand-in plugin: `python -m node.plugin ENGINE_ADDRESS`, as the engine starts it."""

import sys

from node.plugin.service import serve

if __name__ == "__main__":
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    serve(addresses[-1] if addresses else "")
