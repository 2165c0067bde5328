"""The card of a model: what it is, what it was trained on, and how it does on users it never saw, as Markdown (kernel).

Its errors are those of the studies in `STUDIES`, each run with this model, so that anyone can repeat them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from bs_controller.model_metadata import ModelMetadata
from bs_controller.schemes import NetworkOptions, SchemeOptions
from deploy.statistics import Interval
from deploy.study_store import SummaryRow
from protocol.yaml_errors import shown

STUDIES = ("network", "network-papers-noise", "network-clocks", "network-wrong-model")

_TRAINED_ON = """\
Users uniform in range and angle over the region, 2 % of them at the ends of the angles; half seen by all sub-arrays,
half by a random subset. Four in ten have further paths: two thirds of those as the emulator draws `mixed`, the others
one or two reflections of -6 to -25 dB. Three in ten meet a front end with errors: phase shifters of 2 to 4 bits or
exact ones, gains to 1 dB rms, phases to 5 deg rms, delay lines to 15 ps rms, up to a tenth of the elements dead. At
every showing the noise is new, -2 to 32 dB, flat or (one in five) following each subcarrier's power; half of the
clocks are off by 0.03 to 3 ns rms in both sweeps alike, which the network is told."""

_NOT_TRAINED_ON = """\
Clocks that differ between the two sweeps; carrier offsets; more than two further paths, or one stronger than -6 dB
against the line of sight; other arrays, bands or regions, for which it is refused; sweeps from a measured radio. The
deviations that it states are right on the mean over such a mixture of conditions: where all is clean it overstates
them, where much is wrong it understates them."""

_ERRORS = """\
Location in millimetres, RMSE with 95 % intervals by bootstrap; all errors count, outliers too. `bound`: root mean
square of the Cramer-Rao bounds of these users, with unknown gains and what else the scheme takes as unknown; there is
none where noise differs between subcarriers. `nees`: squared error over the fix's own covariance, 1 if that is
honest. `nftestbed card` repeats all this, for the shipped models `nftestbed study deploy/studies/NAME.yaml` does,
too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Medians over many runs on one core: the input of one user, the network on one and on 64 at once."""

    input_ms: float
    one_ms: float
    of_64_ms: float


def schemes_with(model: str, plan: str, schemes: Sequence[SchemeOptions]) -> tuple[SchemeOptions, ...]:
    """Return a study's schemes of this plan, and with this model in the place of the shipped one."""
    return tuple(
        msgspec.structs.replace(options, model=model) if isinstance(options, NetworkOptions) else options
        for options in schemes
        if getattr(options, "plan", plan) == plan
    )


def card_text(
    metadata: ModelMetadata, sha256: str, size_bytes: int, timing: Timing, results: Mapping[str, Sequence[SummaryRow]]
) -> str:
    """Return the card."""
    configuration = ", ".join(f"{name} {value}" for name, value in metadata.training.items())
    parts = [
        f"# {metadata.preset}",
        f"SHA-256 `{sha256}`, {size_bytes / 1e6:.2f} MB. Apache-2.0, as all of this repository.",
        f"Input `{metadata.features}`; outputs {', '.join(output.name for output in metadata.outputs)}. Made for the testbed "
        f"whose facts but the uplink's have the digest `{metadata.downlink_digest}`.",
        f"On one core where this card was made, medians: input {timing.input_ms:.2f} ms, network {timing.one_ms:.2f} ms; "
        f"64 inputs at once {timing.of_64_ms:.1f} ms, {64e3 / (64 * timing.input_ms + timing.of_64_ms):.0f} fixes/s.",
        f"## Trained on\n\n{_TRAINED_ON}",
        f"Configuration: {configuration}. Data: `{metadata.data_digest}`.",
        f"## Not trained on\n\n{_NOT_TRAINED_ON}",
        f"## Errors\n\n{_ERRORS}",
        *(f"### {name}\n\n{_table(rows)}" for name, rows in results.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[SummaryRow]) -> str:
    axes = rows[0].axes
    varied = [name for name in axes if any(row.axes[name] != axes[name] for row in rows)]
    fixed = [f"{name}: {_text(axes[name])}" for name in axes if name not in varied]
    titles = [*(name.rpartition(".")[2] for name in varied), "scheme", "n"]
    titles += ["RMSE", "median", "p99", "> 0.1 m", "bound", "nees"]
    lines = [titles, ["---"] * len(titles)]
    lines += [[*(_text(row.axes[name]) for name in varied), *_cells(row)] for row in rows]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{'; '.join(fixed)}\n\n{table}" if fixed else table


def _cells(row: SummaryRow) -> list[str]:
    errors, known = row.errors, row.calibration
    bound_m = errors.error_rmse_m / known.error_ratio if errors.error_rmse_m and known.error_ratio else None
    return [
        _label(row.scheme),
        str(errors.n),
        _with_interval_mm(errors.error_rmse_m, errors.error_rmse_interval_m),
        _mm(errors.error_median_m),
        _mm(errors.error_p99_m),
        f"{100 * errors.outlier_rate:.2g} %",
        _mm(bound_m),
        "-" if known.nees is None else f"{known.nees:.2f}",
    ]


def _label(scheme: str) -> str:
    """Return a scheme's label without the file of its model, which all rows of a card share."""
    return re.sub(r"model=[^,)]*\.onnx(, )?", "", scheme).replace(", )", ")").replace("()", "")


def _text(value: object) -> str:
    return value if isinstance(value, str) else shown(value)


def _with_interval_mm(value_m: float | None, interval_m: Interval | None) -> str:
    if value_m is None or interval_m is None:
        return "-"
    return f"{_mm(value_m)} [{_mm(interval_m.low)}, {_mm(interval_m.high)}]"


def _mm(value_m: float | None) -> str:
    return "-" if value_m is None else f"{1e3 * value_m:#.3g}".rstrip(".")
