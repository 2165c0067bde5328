"""Which schemes a replay runs: those of the recording, one of them, another by name, or those of a testbed file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bs_controller.config import ControllerSection
from bs_controller.jobs import labels
from bs_controller.schemes import SchemeOptions, scheme_from_options
from bs_controller.schemes.follow import Follow
from bs_controller.sweeps import Scheme
from protocol.config import LoadedTestbed, facts, read_testbed
from protocol.testbed import TestbedFacts


class ChoiceError(Exception):
    """There is no such scheme for this recording; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Schemes by label, and whether they are those that were recorded under these labels.

    With all of these, users who were followed are followed again. Users of a continuous run are taken to be `moving`.
    """

    facts: TestbedFacts
    schemes: Mapping[str, Scheme]
    own: bool
    follow: Follow | None = None
    moving: bool = False


def choice_of(recorded: LoadedTestbed, scheme: str | None, testbed: Path | None) -> Choice:
    """Return what to replay.

    Parameters
    ----------
    recorded
        The run's own configuration.
    scheme
        The label of one scheme of the configuration; without `testbed` also the name of any scheme, with its defaults.
    testbed
        A file of the same facts, whose schemes take the place of the run's.

    Raises
    ------
    ChoiceError
        If there is no such scheme, or it does not fit the recorded testbed.
    ConfigError
        If the file cannot be read.
    """
    shared = facts(recorded.file)
    source = recorded if testbed is None else _of_same_facts(testbed, shared)
    section = source.section("controller", ControllerSection)
    moving = recorded.section("controller", ControllerSection).track is not None
    known = dict(zip(labels([_name(options) for options in section.schemes]), section.schemes, strict=True))
    if scheme is None or scheme in known:
        chosen = {label: known[label] for label in known if scheme in {label, None}}
        schemes = {label: _scheme(options, shared, str(source.path)) for label, options in chosen.items()}
        own = testbed is None
        follow = Follow(facts=shared) if own and scheme is None else None
        return Choice(facts=shared, schemes=schemes, own=own, follow=follow, moving=moving)
    if testbed is not None:
        raise ChoiceError(f"{testbed}: expected one of its schemes ({', '.join(known)}), got {scheme}")
    try:
        options = msgspec.convert({"scheme": scheme}, SchemeOptions)
    except msgspec.ValidationError as error:
        raise ChoiceError(f"expected the name of a scheme, got {scheme}: {error}") from error
    return Choice(facts=shared, schemes={scheme: _scheme(options, shared, scheme)}, own=False, moving=moving)


def _of_same_facts(path: Path, shared: TestbedFacts) -> LoadedTestbed:
    loaded = read_testbed(path)
    differing = shared.differences(facts(loaded.file))
    if differing:
        raise ChoiceError(f"{path}: expected the testbed that was recorded, got another: {'; '.join(differing)}")
    return loaded


def _name(options: SchemeOptions) -> str:
    return str(options.__struct_config__.tag)


def _scheme(options: SchemeOptions, shared: TestbedFacts, where: str) -> Scheme:
    try:
        return scheme_from_options(options, shared)
    except ValueError as error:
        raise ChoiceError(f"{where}: expected a scheme that fits the recorded testbed, got: {error}") from error
