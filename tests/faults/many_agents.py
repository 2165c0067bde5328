"""Many UE agents in one process, each with sockets and a session of its own.

They are the product's, joined as its own process joins one; what they share is a loop. Started by
``python -m tests.faults.many_agents FILE NAME...``.
"""

import asyncio
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from protocol.config import LoadedTestbed
from protocol.shell import serve_testbed
from ue_agent.process import UeProcess


async def _serve(loaded: LoadedTestbed, names: Sequence[str]) -> int:
    async with asyncio.TaskGroup() as tasks:
        for name in names:
            tasks.create_task(UeProcess(loaded, name).run(), name=name)
    return 0


if __name__ == "__main__":
    serve = partial(_serve, names=sys.argv[2:])
    sys.exit(serve_testbed("agents", Path(sys.argv[1]), serve, run_directory=None, quiet=True, stopped=0))
