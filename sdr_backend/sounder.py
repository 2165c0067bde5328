"""The sounder ``ofdm``: a UE's bursts to the uplink array, sent by a radio from a thread of its own (shell).

Bursts go out in trains of many rounds: who reads fast finds one in each round but for a few between two trains. Between
bursts the radio sends zeros.
"""

import logging
import threading

from sdr_backend.drivers import Options, OptionValue, checked_options
from sdr_backend.radio import LateError, Radio, RadioError, opened_radio
from sdr_backend.sounding import Rounds, Train
from ue_agent.sounder import SounderContext

logger = logging.getLogger(__name__)

TRAIN = 16  # rounds
LEAD = 4096  # samples between what leaves next and a train that is still to be handed on; doubled when it was too few
MOST_LEAD = 1 << 20
LOOK_S = 0.01  # how often it is looked whether a train has left; less than a tenth of the time that one takes
OPEN_AGAIN_S = 1.0


class SounderOptions(Options, frozen=True):
    """What the sounder takes; everything else in the file goes to the driver named `radio`."""

    radio: str


class OfdmSounder:
    """Sounds for one UE by one radio."""

    def __init__(self, context: SounderContext) -> None:
        own = {name: value for name, value in context.options.items() if name in SounderOptions.__struct_fields__}
        radio_options: dict[str, OptionValue] = {
            name: value.replace("{ue}", context.ue) if isinstance(value, str) else value
            for name, value in context.options.items()
            if name not in own
        }
        try:
            options = checked_options("ofdm", own, SounderOptions)
            self._radio = opened_radio(options.radio, radio_options)
        except (ValueError, RadioError) as error:
            raise LookupError(f"sounder ofdm: {error}") from error
        self._ue = context.ue
        self._rounds = Rounds.of(context.facts.uplink.grid.count, context.slots)
        self._train = Train(self._rounds, context.ue)
        self._lead = LEAD
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sounder of {context.ue}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread and release the radio."""
        self._closing.set()
        self._thread.join()
        self._radio.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                if self._radio.drain(0.0):
                    self._send(self._radio)
                self._closing.wait(LOOK_S)  # a radio that waits itself may look more often
            except RadioError as error:
                logger.error("the radio of the sounder is lost: %s", error)
                self._closing.wait(OPEN_AGAIN_S)

    def _send(self, radio: Radio) -> None:
        at = self._rounds.burst_at(self._ue, radio.transmitted + self._lead)
        try:
            radio.transmit(self._train.samples(at // self._rounds.samples, TRAIN), at)
        except LateError as late:
            self._lead = min(2 * self._lead, MOST_LEAD)
            logger.debug("a train was late: %s; the lead is %d samples now", late, self._lead)
            return
        self._lead = max(LEAD, self._lead - self._lead // 16)
