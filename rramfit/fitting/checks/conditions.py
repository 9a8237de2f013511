"""Conditions that are hardly those of the measurement: temperatures, voltages and times.

A file states them in SI units, so a number that was written in another unit is still valid: 85 for
85 °C is 85 K, 200 for 200 mV is 200 V. A value outside the usual range is reported with the unit
that would explain it. It may be right, at a cryogenic station for example; no fit depends on it.

| quantity | usual range |
| --- | --- |
| temperature | 200 K to 1000 K |
| voltage of a read or of the rows | 1 mV to 10 V |
| highest voltage of a sweep | 10 mV to 20 V |
| time of a read | 0 s or later |

Times of `/retention` are checked where they are used (`rramfit.fitting.time.retention_readings`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.results.result import Finding, Verdict
from rramfit.measurement.file.record import Measurement
from rramfit.units import format_quantity

__all__ = ["judge_conditions"]

_COLD, _HOT = 200.0, 1000.0  # [K]
_ZERO_CELSIUS = 273.15  # [K]
_READ = (1e-3, 10.0)  # [V]
_SWEEP = (1e-2, 20.0)  # [V]


def judge_conditions(measurement: Measurement) -> Verdict:
    """Ask about the conditions of a measurement that are hardly possible.

    Parameters
    ----------
    measurement : Measurement
    """
    m = measurement
    temperatures = {
        "the file": m.identity.temperature,
        "/reads": m.reads.temperature if m.reads else None,
        "/retention": m.retention.temperature if m.retention else None,
    }
    read = {
        "/program": m.program.read_voltage if m.program else None,
        "/reads": m.reads.read_voltage if m.reads else None,
        "/retention": m.retention.read_voltage if m.retention else None,
        "/mvm": _highest(m.mvm.voltage) if m.mvm else None,
    }
    findings = [*_temperatures(temperatures), *_voltages(read, "read voltage", _READ)]
    if m.iv is not None:
        findings += _voltages({"/iv": _highest(m.iv.voltage)}, "highest voltage", _SWEEP)
    if m.reads is not None and (m.reads.time < 0).any():
        earliest = format_quantity(float(np.nanmin(m.reads.time)), "s")
        findings.append(
            Finding(
                f"/reads: {int((m.reads.time < 0).sum())} of {len(m.reads.time)} times are "
                f"negative, the earliest {earliest}",
                "Is the clock's zero later than the first read? Write seconds since programming to "
                "/reads/time",
                code="negative-times",
            )
        )
    return Verdict(tuple(findings))


def _highest(voltage: NDArray[np.float64]) -> float | None:
    seen = np.abs(voltage[np.isfinite(voltage)])
    return float(seen.max()) if seen.size else None


def _grouped(values: dict[str, float | None]) -> Iterator[tuple[float, str]]:
    """Yield each different value with the places that state it."""
    where: dict[float, list[str]] = {}
    for place, value in values.items():
        if value is not None:
            where.setdefault(value, []).append(place)
    for value, places in where.items():
        yield value, " and ".join(places)


def _temperatures(values: dict[str, float | None]) -> Iterator[Finding]:
    for value, places in _grouped(values):
        if _COLD <= value <= _HOT:
            continue
        if value < _COLD:
            kelvin = value + _ZERO_CELSIUS
            celsius = f"{value - _ZERO_CELSIUS:.0f} °C" if value >= 0 else "below absolute zero"
            remedy = f"If it is {value:g} °C, write {kelvin:g} K to the attribute `temperature`"
        else:
            celsius = f"{value - _ZERO_CELSIUS:.0f} °C"
            remedy = "Write the temperature in K to the attribute `temperature`"
            if _COLD <= value / 1000 <= _HOT:
                remedy = f"If it is {value:g} mK, write {value / 1000:g} K to `temperature`"
        yield Finding(
            f"The temperature of {places} is {value:g} K ({celsius})",
            remedy,
            code="implausible-temperature",
        )


def _voltages(
    values: dict[str, float | None], word: str, usual: tuple[float, float]
) -> Iterator[Finding]:
    for value, places in _grouped(values):
        size = abs(value)
        if size == 0 or usual[0] <= size <= usual[1]:
            continue
        remedy = f"If it is {value:g} mV, write {value / 1000:g} V"
        if size < usual[0]:
            remedy = f"If millivolts were divided by 1000 twice, write {value * 1000:g} V"
        yield Finding(
            f"The {word} of {places} is {format_quantity(value, 'V')}",
            remedy,
            code="implausible-voltage",
        )
