"""Start the controller and print each record as a JSON line: ``python -m bs_controller FILE --run-dir DIR``."""

import json
import sys

from bs_controller.process import main
from bs_controller.records import Record
from protocol.shell import arguments


def _print_record(record: Record, recorded: bool) -> None:
    sys.stdout.write(json.dumps({"recorded": recorded, **record}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    options = arguments("Controller of the near-field testbed", named=False, recorded=True)
    sys.exit(main(options.file, options.run_dir, _print_record, patient=False, quiet=options.quiet))
