"""Serve a console of a run that another program started: ``python -m bs_controller.console FILE --host HOST --port PORT``.

It prints its address as one JSON line, and each command that a browser gives as another.
"""

import argparse
import json
import sys
from pathlib import Path

from bs_controller.console.defaults import DEFAULT_HOST, DEFAULT_PORT
from bs_controller.console.process import show_live


def _print_address(address: str) -> None:
    sys.stdout.write(json.dumps({"address": address}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Console of the near-field testbed")
    parser.add_argument("file", type=Path, help="testbed file")
    parser.add_argument("--host", default=DEFAULT_HOST)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    options = parser.parse_args()
    sys.exit(show_live(options.file, options.host, options.port, _print_address))
