"""The drivers that pytest's command line names."""

import shlex
import subprocess
from collections.abc import Callable, Sequence

import pytest

from sdr_backend.driver_suite.bench import FrontEndBench, RadioBench
from sdr_backend.drivers import OptionValue


def options_from_words(words: Sequence[str]) -> dict[str, OptionValue]:
    """Return options written as ``key=value``; numbers and ``true`` and ``false`` are what they look like.

    Raises
    ------
    ValueError
        If a word has no key.
    """
    options: dict[str, OptionValue] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise ValueError(f"expected key=value, got {word!r}")
        options[key] = _value(value)
    return options


def _value(text: str) -> OptionValue:
    if text in {"true", "false"}:
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def radio_bench(config: pytest.Config) -> RadioBench:
    """Return the radio that is to be tested, or skip."""
    driver = config.getoption("--radio")
    if driver is None:
        pytest.skip("no radio driver is named (--radio)")
    return RadioBench(
        driver=driver,
        options=options_from_words(config.getoption("--radio-options")),
        loopback=config.getoption("--radio-loopback"),
        tolerance=config.getoption("--radio-tolerance"),
        restart=_command(config.getoption("--radio-restart")),
    )


def _command(text: str | None) -> Callable[[], None] | None:
    if text is None:
        return None
    words = shlex.split(text)

    def restart() -> None:
        subprocess.run(words, check=True)  # noqa: S603 - what the user wrote

    return restart


def front_end_bench(config: pytest.Config) -> FrontEndBench:
    """Return the front end that is to be tested, or skip."""
    driver = config.getoption("--front-end")
    if driver is None:
        pytest.skip("no front-end driver is named (--front-end)")
    return FrontEndBench(
        driver=driver,
        options=options_from_words(config.getoption("--front-end-options")),
        elements=config.getoption("--front-end-elements"),
    )
