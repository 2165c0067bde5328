"""The facts of a testbed as SPEC 4.4 writes them: the kit's own canonical JSON and digest."""

import hashlib
import json
from decimal import Decimal
from typing import Any

import msgspec

from protocol.testbed import TestbedFacts


def facts_of(shared: TestbedFacts) -> dict[str, Any]:
    """Return the facts as nested maps, with floats where the table has floats."""
    values = msgspec.to_builtins(msgspec.convert(msgspec.to_builtins(shared), TestbedFacts))
    assert isinstance(values, dict)  # noqa: S101 - a struct becomes a map
    return values


def canonical(value: object) -> str:
    """Return canonical JSON: sorted keys, no white space, shortest floats."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{canonical(value[key])}" for key in sorted(value)) + "}"
    return _float(value) if isinstance(value, float) else json.dumps(value)


def _float(value: float) -> str:
    if value == 0:
        return "0.0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)  # noqa: S101 - facts are finite
    if 1e-5 <= abs(value) < 1e16:
        text = f"{Decimal(repr(value)).normalize():f}"
        return text if "." in text else f"{text}.0"
    first, *others = map(str, digits)
    mantissa = f"{first}.{''.join(others)}" if others else first
    return f"{'-' if sign else ''}{mantissa}e{exponent + len(others)}"


def digest_of(facts: dict[str, Any]) -> str:
    """Return the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(facts).encode()).hexdigest()
