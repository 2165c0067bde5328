"""Monte-Carlo jobs over processes, one thread of linear algebra each; results in the order of the jobs."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from deploy.one_thread import ONE_THREAD

Job = TypeVar("Job")
Result = TypeVar("Result")


def results(work: Callable[[Job], Result], jobs: Iterable[Job]) -> list[Result]:
    """Return what a module-level function makes of each job, one process per core."""
    for name, threads in ONE_THREAD.items():
        os.environ.setdefault(name, threads)  # inherited by the workers
    # fresh interpreters: a forked child would share the state of FFT plans and thread pools with its parent
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return list(pool.map(work, jobs))
