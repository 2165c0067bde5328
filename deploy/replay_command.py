"""The command ``nftestbed replay``: the work in a process of its own, and everything that may be wrong with it as one error."""

from concurrent.futures import BrokenExecutor
from pathlib import Path

from bs_controller.recorded import RecordingError
from deploy.executors import local_executor
from deploy.replay_choice import ChoiceError
from deploy.replay_report import ReplayDocument
from deploy.replay_run import replay_run
from protocol.config import ConfigError


class CannotReplayRunError(Exception):
    """A run or a scheme cannot be used; the text says why."""


def replayed_document(run: Path, scheme: str | None, testbed: Path | None) -> ReplayDocument:
    """Return what `replay_run` returns, computed in one thread as controllers of `nftestbed run` compute.

    More threads may add in another order, and this process has loaded its numerical libraries already.

    Raises
    ------
    CannotReplayRunError
        If the run or the scheme cannot be used.
    """
    try:
        with local_executor(1) as worker:
            return worker.submit(replay_run, run, scheme, testbed).result()
    except (RecordingError, ConfigError, ChoiceError) as error:
        raise CannotReplayRunError(str(error)) from error
    except BrokenExecutor as error:
        raise CannotReplayRunError(f"the process that replayed ended before it was done: {error}") from error
