"""Start the emulator: ``python -m emulator FILE``."""

import sys

from emulator.process import main
from protocol.shell import arguments

if __name__ == "__main__":
    options = arguments("Emulated radio of the near-field testbed", named=False)
    sys.exit(main(options.file, run_directory=options.run_dir, quiet=options.quiet))
