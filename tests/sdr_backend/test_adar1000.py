"""The front-end driver `adar1000`: pyadi-iio's names, steps of a 128th of a turn, nothing on the air before it is latched."""

import importlib
import inspect
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from bs_controller.beams import SettingDoesNotFitError, fitted
from protocol.testbed import Setting
from sdr_backend.adar1000 import Adar1000, adar1000
from sdr_backend.driver_suite import FrontEndBench, FrontEndChecks
from sdr_backend.front_end import FrontEndContext, PilotSetting, opened_front_end
from tests.sdr_backend.fake_adar1000 import FakeArray, FakeElement

OPTIONS = {"uri": "ip:127.0.0.1", "chips": "csb1_chip1 csb1_chip2 csb1_chip3 csb1_chip4"}


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> list[FakeArray]:
    """Put the stand-in in the package's place; return the arrays that are opened."""
    opened: list[FakeArray] = []

    def array(**words: object) -> FakeArray:
        opened.append(FakeArray(**words))  # type: ignore[arg-type]
        return opened[-1]

    monkeypatch.setitem(sys.modules, "adi", SimpleNamespace(adar1000_array=array))
    return opened


@pytest.mark.usefixtures("package")
class TestAdar1000(FrontEndChecks):
    @pytest.fixture
    def bench(self) -> FrontEndBench:
        return FrontEndBench(driver="adar1000", options=OPTIONS)


def front_end() -> Adar1000:
    opened = opened_front_end("adar1000", FrontEndContext(elements=16, options=OPTIONS))
    assert isinstance(opened, Adar1000)
    return opened


def pilot() -> PilotSetting:
    phase_cycles = np.arange(16)[np.newaxis] / 16 + 0.001
    return PilotSetting(phase_cycles=phase_cycles, delay_s=np.zeros((1, 16)), first_group=0, groups=1)


def test_phases_are_on_the_air_once_they_are_latched_and_not_before(package: list[FakeArray]) -> None:
    radiates = front_end()
    radiates.load(pilot())
    elements = [element for _, element in sorted(package[0].elements.items())]
    assert not any(element.on_air_deg for element in elements)
    radiates.latch(0)
    np.testing.assert_allclose([element.on_air_deg for element in elements], 22.5 * np.arange(16))


@pytest.mark.usefixtures("package")
def test_what_the_chips_read_back_is_what_was_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeElement, "tx_phase", property(lambda _: 90.0, lambda *_: None))  # chips that are stuck
    np.testing.assert_array_equal(front_end().load(pilot()).phase_cycles, 0.25)


@pytest.mark.usefixtures("package")
def test_setting_with_delays_does_not_fit_and_one_of_phases_does() -> None:
    limits = front_end().limits
    phases = np.full((1, 16), 0.3)
    fitted(Setting(phase_cycles=phases, delay_s=np.zeros((1, 16))), limits)
    with pytest.raises(SettingDoesNotFitError, match="delay span"):
        fitted(Setting(phase_cycles=phases, delay_s=np.full((1, 16), 1e-10)), limits)


@pytest.mark.usefixtures("package")
def test_chips_that_do_not_make_up_the_array_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 20 elements, 4 a chip, got 4 chips"):
        adar1000(FrontEndContext(elements=20, options=OPTIONS))


@pytest.mark.usefixtures("package")
def test_array_that_does_not_answer_is_named() -> None:
    with pytest.raises(ValueError, match=r"cannot open 'ip:nowhere' .*Connection refused"):
        adar1000(FrontEndContext(elements=16, options={**OPTIONS, "uri": "ip:nowhere"}))


def test_absent_package_is_told_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adi", None)
    with pytest.raises(ValueError, match=r"pip install 'nftestbed\[adi\]'"):
        adar1000(FrontEndContext(elements=16, options=OPTIONS))


def test_package_has_the_names_of_its_stand_in() -> None:
    try:
        adi = importlib.import_module("adi")
    except (ImportError, OSError, AttributeError) as error:
        pytest.skip(f"no pyadi-iio (pip install 'nftestbed[adi]') or no libiio: {error}")
    words = list(inspect.signature(adi.adar1000_array.__init__).parameters)
    assert words == list(inspect.signature(FakeArray.__init__).parameters)
    assert isinstance(inspect.getattr_static(adi.adar1000_array, "elements"), property)
    assert callable(adi.adar1000_array.latch_tx_settings)
    phase = inspect.getattr_static(adi.adar1000.adar1000_channel, "tx_phase")
    assert phase.fset is not None
