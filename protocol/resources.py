"""What a process may take of its machine: memory and descriptors (shell).

No option of ZeroMQ bounds a message that never ends: its frames are kept until the last one comes, which an enrolled peer may
withhold. So a process looks at its own memory, and ends in order before the machine runs out.
"""

import asyncio
import logging
import os
import resource

logger = logging.getLogger(__name__)

MEMORY_LIMIT = "NFTESTBED_MEMORY_LIMIT_MIB"
MEMORY_CHECK_S = 0.25
MAX_DESCRIPTORS = 65536


def allow_many_connections() -> None:
    """Raise the number of descriptors to what the system lets this process have, within reason."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def memory_limit_bytes() -> int:
    """Return how much memory a process may hold: as the environment says, else half of the machine's.

    Raises
    ------
    ValueError
        If the environment says what is no number of MiB.
    """
    said = os.environ.get(MEMORY_LIMIT, "")
    if not said:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    if not said.isascii() or not said.isdecimal() or int(said) == 0:
        raise ValueError(f"{MEMORY_LIMIT}: expected a whole number of MiB, got {said!r}")
    return int(said) << 20


async def end_beyond(task: asyncio.Future[int], limit_bytes: int) -> None:
    """Cancel a process's main task when the process holds more memory than it may."""
    statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)  # kept: descriptors may be short when memory is
    try:
        while (held_bytes := _resident_bytes(statm)) <= limit_bytes:  # noqa: ASYNC110 - the kernel sends no event
            await asyncio.sleep(MEMORY_CHECK_S)
    finally:
        os.close(statm)
    logger.error(
        "expected at most %d MiB of memory (%s), got %d: ending, before the machine runs out",
        limit_bytes >> 20,
        MEMORY_LIMIT,
        held_bytes >> 20,
    )
    task.cancel()


def _resident_bytes(statm: int) -> int:
    return int(os.pread(statm, 128, 0).split()[1]) * os.sysconf("SC_PAGE_SIZE")
