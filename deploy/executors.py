"""Where work is done beside this process: a pool of processes here, or the workers of a Dask cluster (shell).

Both are ``concurrent.futures``, and each worker computes in one thread.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing.connection import Connection

from deploy.one_thread import ONE_THREAD


@contextlib.contextmanager
def local_executor(workers: int | None = None) -> Iterator[Executor]:
    """Give a pool of processes on this machine, by default one per core that this process may use.

    Each computes in one thread: more would compete, and could round sums in another order.
    """
    context = multiprocessing.get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    with _environment(ONE_THREAD), reader, writer:
        cores = len(os.sched_getaffinity(0))
        pool = ProcessPoolExecutor(workers or cores, context, initializer=_follow, initargs=(reader,))
        try:
            yield pool
        except BaseException:
            writer.close()  # nobody would take what the workers are about
            raise
        finally:
            pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def cluster_executor(scheduler: str) -> Iterator[Executor]:
    """Give the workers of a Dask cluster, on which this same version must be installed.

    A worker that dies is replaced by Dask: its chunk is computed again, to the same numbers. Dask's own default is one
    numerical thread per worker, as here.

    Raises
    ------
    OSError
        If no scheduler answers.
    """
    from distributed import Client  # noqa: PLC0415 - only a study on a cluster needs it

    with Client(scheduler, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        yield client.get_executor(pure=False)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _follow(parent: Connection) -> None:
    """Make a worker leave Ctrl-C to its parent, and end when that closes its end of a pipe or is gone, however it died."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end_with_parent() -> None:
        parent.poll(None)  # nothing is ever sent
        os._exit(1)

    threading.Thread(target=end_with_parent, name="follow-parent", daemon=True).start()
