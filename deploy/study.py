"""A study: every cell's users located by every scheme, chunk by chunk, on any executor, resumable at any moment (shell).

One task is a chunk of users of one cell. The caller brings the executor, of `deploy.executors`. A finished chunk is on disk
before it is counted.
"""

import itertools
import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from pathlib import Path

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


def default_directory(study: Study) -> Path:
    """Return where a study is kept: the same file continues there, a changed one begins afresh."""
    return Path("studies") / f"{study.file.name}-{study.digest()}"
