"""Start the controller and print each record as a JSON line: ``python -m bs_controller FILE --run-dir DIR``."""

import json
import sys

import msgspec

from bs_controller.process import main
from bs_controller.records import Record
from protocol.shell import arguments


def _print_record(record: Record, recorded: bool) -> None:
    sys.stdout.buffer.write(_line({"recorded": recorded, **record}))
    sys.stdout.flush()


def _line(record: Record) -> bytes:
    try:
        return msgspec.json.encode(record, enc_hook=float) + b"\n"  # numbers of numpy are floats
    except (TypeError, ValueError):  # half a surrogate pair, as names of files that are no UTF-8 have
        return json.dumps(record).encode("ascii") + b"\n"


if __name__ == "__main__":
    options = arguments("Controller of the near-field testbed", named=False, recorded=True)
    sys.exit(main(options.file, options.run_dir, _print_record, patient=False, quiet=options.quiet))
