"""Plots as SVG text: axes with units, lines, marks; pure functions. Colours are CSS variables of the page around them."""

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

Point = tuple[float, float]

DASHES, DOTS = "5 4", "2 3"
LEFT, RIGHT, TOP, BOTTOM = 58.0, 36.0, 10.0, 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What an axis spans, how its ticks are written, and whether it is logarithmic."""

    label: str
    low: float
    high: float
    log: bool = False
    text: Callable[[float], str] = field(default=lambda value: f"{value:g}")

    def share(self, value: float) -> float:
        """Return where a value lies between both ends."""
        if self.log:
            return math.log10(value / self.low) / math.log10(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Return round values: powers of ten, or about six steps."""
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            step = 1 + (last - first) // 8
            return [10.0**power for power in range(first, last + 1, step)]
        apart = nice_step((self.high - self.low) / 6)
        lowest = math.ceil(self.low / apart - 1e-9)
        return [apart * n for n in range(lowest, math.floor(self.high / apart + 1e-9) + 1)]


def nice_step(least: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is at least so large."""
    decade = 10.0 ** math.floor(math.log10(least))
    return next(step for step in (decade, 2 * decade, 5 * decade, 10 * decade) if step >= least * (1 - 1e-9))


class Plot:
    """One plot, drawn part by part."""

    def __init__(self, title: str, x: Axis, y: Axis, *, width: float = 700, height: float = 310) -> None:
        self._x, self._y, self._width, self._height = x, y, width, height
        self._parts: list[str] = []
        self._head = (
            f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{html.escape(title)}" '
            f'xmlns="http://www.w3.org/2000/svg">'
        )
        self._grid()

    def at(self, point: Point) -> Point:
        """Return where a point lies on the page."""
        across, up = self._width - LEFT - RIGHT, self._height - TOP - BOTTOM
        return LEFT + across * self._x.share(point[0]), TOP + up * (1 - self._y.share(point[1]))

    def line(self, points: Sequence[Point], colour: str, *, dash: str = "", width: float = 1.6) -> None:
        """Draw a line through points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self.at, points))
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dashes}/>'
        )

    def outline(self, points: Sequence[Point], colour: str) -> None:
        """Draw a closed line with a pale inside."""
        path = " ".join(f"{x:.2f},{y:.2f}" for x, y in map(self.at, points))
        self._parts.append(f'<polygon points="{path}" fill="{colour}" fill-opacity=".06" stroke="{colour}"/>')

    def dot(self, point: Point, colour: str, title: str, *, radius: float = 3.2) -> None:
        """Draw a dot that says what it is when pointed at."""
        x, y = self.at(point)
        self._parts.append(
            f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{radius:g}" fill="{colour}" fill-opacity=".8">'
            f"<title>{html.escape(title)}</title></circle>"
        )

    def cross(self, point: Point, colour: str, title: str) -> None:
        """Draw an upright cross."""
        x, y = self.at(point)
        self._parts.append(
            f'<path d="M{x - 6:.2f} {y:.2f}h12M{x:.2f} {y - 6:.2f}v12" stroke="{colour}" stroke-width="2">'
            f"<title>{html.escape(title)}</title></path>"
        )

    def words(self, point: Point, text: str, colour: str, *, bold: bool = False) -> None:
        """Write beside a point."""
        x, y = self.at(point)
        weight = ' font-weight="600"' if bold else ""
        self._parts.append(f'<text x="{x + 8:.2f}" y="{y - 6:.2f}" fill="{colour}"{weight}>{html.escape(text)}</text>')

    def text(self) -> str:
        """Return the whole plot."""
        return self._head + "".join(self._parts) + "</svg>"

    def _grid(self) -> None:
        bottom, right = self._height - BOTTOM, self._width - RIGHT
        for value in self._x.ticks():
            x, _ = self.at((value, self._y.low))
            self._parts.append(f'<path class="grid" d="M{x:.2f} {TOP:g}V{bottom:g}"/>')
            self._parts.append(
                f'<text class="tick" x="{x:.2f}" y="{bottom + 15:g}" text-anchor="middle">'
                f"{html.escape(self._x.text(value))}</text>"
            )
        for value in self._y.ticks():
            _, y = self.at((self._x.low, value))
            self._parts.append(f'<path class="grid" d="M{LEFT:g} {y:.2f}H{right:g}"/>')
            self._parts.append(
                f'<text class="tick" x="{LEFT - 6:g}" y="{y + 4:.2f}" text-anchor="end">'
                f"{html.escape(self._y.text(value))}</text>"
            )
        middle_x, middle_y = (LEFT + right) / 2, (TOP + bottom) / 2
        self._parts.append(
            f'<text x="{middle_x:g}" y="{self._height - 6:g}" text-anchor="middle">{html.escape(self._x.label)}</text>'
        )
        self._parts.append(
            f'<text x="14" y="{middle_y:g}" text-anchor="middle" transform="rotate(-90 14 {middle_y:g})">'
            f"{html.escape(self._y.label)}</text>"
        )
