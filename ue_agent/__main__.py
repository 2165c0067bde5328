"""Start one UE agent: ``python -m ue_agent FILE --name ue-1``."""

import sys

from protocol.shell import arguments
from ue_agent.process import main

if __name__ == "__main__":
    options = arguments("UE agent of the near-field testbed", named=True)
    sys.exit(main(options.file, options.name, run_directory=options.run_dir, quiet=options.quiet))
