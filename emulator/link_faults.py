"""Seeded faults of a link, for tests: items lost, doubled, overtaken or late; rules without a clock.

The same section and the same order of items give the same faults.
"""

from typing import TypeVar

import numpy as np

from emulator.config import LinkFaultsSection

Item = TypeVar("Item")

#: An item chosen for reordering is late by up to this much more, so that those behind it overtake it.
REORDER_WINDOW_S = 0.02


class LinkFaults:
    """Decides the fate of each item that passes a link."""

    def __init__(self, section: LinkFaultsSection) -> None:
        self._section = section
        self._rng = np.random.default_rng(section.seed)

    def pass_on(self, item: Item, now_s: float) -> list[tuple[float, Item]]:
        """Return when to deliver the item: never, once or twice.

        Parameters
        ----------
        item
            Anything; it is not looked at.
        now_s
            When it enters the link.

        Returns
        -------
        deliveries
            Due time in the clock of ``now_s`` and the item; empty when dropped, two entries when duplicated.
        """
        # one draw for each decision, taken or not: a changed probability leaves the other faults where they were
        drop, duplicate, *reorder = self._rng.random(4)
        window_s = self._rng.uniform(0.0, REORDER_WINDOW_S, size=2)
        if drop < self._section.drop:
            return []
        copies = 2 if duplicate < self._section.duplicate else 1
        late_s = [float(window_s[copy]) if reorder[copy] < self._section.reorder else 0.0 for copy in range(copies)]
        return [(now_s + self._section.delay_s + extra_s, item) for extra_s in late_s]
