"""The command ``nftestbed card``: studies with one model, its time on one core, and the card that tells of both (shell)."""

import dataclasses
import statistics
import timeit
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

import msgspec
import numpy as np
import typer
from rich.console import Console

import deploy
from bs_controller.inference import Model, Runner, sha256_of
from bs_controller.model_metadata import ModelError, ModelMetadata, metadata_from_props
from bs_controller.representations import OUTPUTS, representation
from bs_controller.schemes.network import REPRESENTATION_OF_PLAN
from deploy.executors import local_executor
from deploy.model_card import STUDIES, Timing, card_text, schemes_with
from deploy.study import ChunkError, run_study
from deploy.study_file import Study, read_study
from deploy.study_report import study_progress
from deploy.study_store import StoreError, SummaryRow, opened_store
from deploy.training_validation import Viewing, heard_sweeps
from protocol.strict_yaml import ConfigError
from protocol.testbed import TestbedFacts

_FOLDER = Path(deploy.__file__).parent / "studies"
_RUNS, _AT_ONCE = 200, 64


def carried_out(model: Path, out: Path | None, results: Path, *, users: int | None, workers: int | None) -> int:
    """Write the card of a model beside it, or where it is wanted, and return the exit status."""
    try:
        metadata = metadata_from_props(Runner(model.read_bytes()).props)
        plan = _plan_of(metadata)
        all_studies = [_with_model(read_study(_FOLDER / f"{name}.yaml"), model, plan, users) for name in STUDIES]
        studies = [study for study in all_studies if study.file.schemes]  # not every study has this plan
        with local_executor(workers) as executor:
            rows = {study.file.name: _studied(study, results, executor) for study in studies}
        timing = _timing(model, metadata, studies[0].cells[0].setup.facts())
    except (ModelError, ConfigError, StoreError, OSError) as error:
        typer.echo(str(error), err=True)
        return 2
    except ChunkError as error:
        typer.echo(f"{error}\nWhat was finished is kept: the same command continues.", err=True)
        return 1
    except KeyboardInterrupt:
        typer.echo("stopped; the same command continues", err=True)
        return 130
    card = out or model.with_suffix(".md")
    card.write_text(card_text(metadata, sha256_of(model), model.stat().st_size, timing, rows))
    typer.echo(f"written: {card}")
    return 0


def _plan_of(metadata: ModelMetadata) -> str:
    """Return the plan whose representation a model was trained for."""
    name = metadata.features.rpartition("-")[0]
    for plan, shown in REPRESENTATION_OF_PLAN.items():
        if shown == name:
            return plan
    known = ", ".join(REPRESENTATION_OF_PLAN.values())
    raise ModelError(f"expected a model of features {known}, got one of {metadata.features}")


def _studied(study: Study, results: Path, executor: Executor) -> list[SummaryRow]:
    """Return the summary of a study; what is in the folder of results is not computed again."""
    folder = results / f"{study.file.name}-{study.digest()}"
    with opened_store(folder, study) as store, study_progress(study.file.name, Console(stderr=True)) as show:
        return run_study(study, store, executor, show)


def _with_model(study: Study, model: Path, plan: str, users: int | None) -> Study:
    """Return a study whose networks are this one, with the schemes of its plan, and as many users of each cell."""
    schemes, each = schemes_with(str(model.resolve()), plan, study.file.schemes), users or study.file.users
    return dataclasses.replace(
        study,
        file=msgspec.structs.replace(study.file, schemes=schemes, users=each),
        cells=tuple(
            dataclasses.replace(cell, setup=msgspec.structs.replace(cell.setup, schemes=schemes, users=each))
            for cell in study.cells
        ),
    )


def _timing(path: Path, metadata: ModelMetadata, facts: TestbedFacts) -> Timing:
    """Return medians of this thread's time, for a user that some sub-arrays see."""
    frame = representation(metadata.features.rpartition("-")[0], facts)
    first, second, _ = heard_sweeps(
        Viewing(facts=facts, representation=frame.name, condition="masks", first_user=0, users=1), 0
    )
    model = Model.load(path, facts, features=metadata.features, outputs=OUTPUTS)
    one = frame.of(first, second, 0.0).features[np.newaxis]
    many = np.repeat(one, _AT_ONCE, axis=0)
    return Timing(
        input_ms=_median_ms(lambda: frame.of(first, second, 0.0), _RUNS),
        one_ms=_median_ms(lambda: model.predict(one), _RUNS),
        of_64_ms=_median_ms(lambda: model.predict(many), _RUNS // 10),
    )


def _median_ms(work: Callable[[], object], runs: int) -> float:
    return 1e3 * statistics.median(timeit.repeat(work, number=1, repeat=runs))
