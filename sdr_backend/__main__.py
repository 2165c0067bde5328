"""Start the radio process: ``python -m sdr_backend FILE``."""

import sys

from protocol.shell import arguments
from sdr_backend.process import main

if __name__ == "__main__":
    options = arguments("Radio of the near-field testbed, over real or software radios", named=False)
    sys.exit(main(options.file, run_directory=options.run_dir, quiet=options.quiet))
