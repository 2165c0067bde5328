"""A study: every cell's users located by every scheme, chunk by chunk, on any executor, resumable at any moment (shell).

One task is a chunk of users of one cell. The caller brings the executor: a pool of processes here (`local_executor`) or
the workers of a Dask cluster (`cluster_executor`), both ``concurrent.futures``. A finished chunk is on disk before it is
counted.
"""

import contextlib
import itertools
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

from deploy.one_thread import ONE_THREAD
from deploy.study_file import Study
from deploy.study_store import StudyStore, SummaryRow
from deploy.study_users import Chunk, Located, located_users

# enough to keep some hundred workers busy, few enough to hold in memory
MAX_TASKS_UNDER_WAY = 1024

OnProgress = Callable[[int, int], None]


class ChunkError(Exception):
    """A task ended without its rows; what was finished before is kept."""


def run_study(study: Study, store: StudyStore, executor: Executor, on_progress: OnProgress) -> list[SummaryRow]:
    """Locate all users that the store does not hold yet and return the summary of all, which is stored too.

    Parameters
    ----------
    on_progress
        Told how many users of how many are on disk, first for those that already were.

    Raises
    ------
    ChunkError
        If a task failed; all that was finished before stays.
    """
    total = sum(cell.setup.users for cell in study.cells)
    finished = store.finished()
    wanted = [chunk for chunk in chunks(study) if (chunk.cell, chunk.first_user) not in finished]
    done = total - sum(chunk.users for chunk in wanted)
    on_progress(done, total)
    for chunk, rows in _as_finished(executor, wanted):
        store.add(chunk.cell, chunk.first_user, rows)
        done += chunk.users
        on_progress(done, total)
    return store.concluded(study)


def chunks(study: Study) -> Iterator[Chunk]:
    """Yield all tasks of a study."""
    for cell in study.cells:
        for first in range(0, cell.setup.users, study.file.chunk):
            users = min(study.file.chunk, cell.setup.users - first)
            yield Chunk(
                cell=cell.index,
                setup=cell.setup,
                seed=study.file.seed,
                first_user=first,
                users=users,
                bounds=study.file.bounds,
            )


def _as_finished(executor: Executor, wanted: Sequence[Chunk]) -> Iterator[tuple[Chunk, list[Located]]]:
    """Yield chunks and their rows in the order in which they are finished; leave no task behind if one fails."""
    ends: queue.SimpleQueue[Future[list[Located]]] = queue.SimpleQueue()
    under_way: dict[Future[list[Located]], Chunk] = {}
    left = iter(wanted)

    def submit(chunk: Chunk) -> None:
        try:
            future = executor.submit(located_users, chunk)
        except BrokenExecutor as error:
            raise ChunkError(f"expected workers, got: {error}") from error
        under_way[future] = chunk
        future.add_done_callback(ends.put)

    try:
        for chunk in itertools.islice(left, MAX_TASKS_UNDER_WAY):
            submit(chunk)
        while under_way:
            future = ends.get()
            chunk = under_way.pop(future)
            yield chunk, _rows(chunk, future)
            for following in itertools.islice(left, 1):
                submit(following)
    finally:
        for future in under_way:
            future.cancel()


def _rows(chunk: Chunk, future: Future[list[Located]]) -> list[Located]:
    try:
        return future.result()
    except Exception as error:  # a task's edge: whatever it was, the study cannot go on
        last = chunk.first_user + chunk.users - 1
        what = f"{type(error).__name__}: {error}"
        raise ChunkError(f"cell {chunk.cell}, users {chunk.first_user} to {last}: {what}") from error


# --- executors -------------------------------------------------------------------------------------------------------


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


def default_directory(study: Study) -> Path:
    """Return where a study is kept: the same file continues there, a changed one begins afresh."""
    return Path("studies") / f"{study.file.name}-{study.digest()}"
