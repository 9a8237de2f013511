"""Reading a measurement file: open it, validate it, build its records, check their plausibility."""

from __future__ import annotations

from pathlib import Path

from rramfit.measurement.file.contents import measurement_contents
from rramfit.measurement.file.opening import open_measured
from rramfit.measurement.file.plausibility import raise_implausible
from rramfit.measurement.file.problem import raise_first_violation
from rramfit.measurement.file.record import Measurement
from rramfit.measurement.file.validate import layout_problems

__all__ = ["read_measurement"]


def read_measurement(path: Path | str) -> Measurement:
    """Read a measurement file.

    Parameters
    ----------
    path : Path or str
        The file; it is opened read-only and never changed.

    Returns
    -------
    Measurement
        In SI units. Sweeps and reads stay in the file and are read on demand.

    Raises
    ------
    MeasurementError
        If the file violates the layout, or its content cannot be that of an array: a wrong unit,
        resistances read as conductances, times in milliseconds. The message names the first
        violation and the number of further ones.
    """
    path = Path(path)
    with open_measured(path) as f:
        raise_first_violation(layout_problems(f, path))
        measurement = measurement_contents(path, f)
    raise_implausible(measurement, path)
    return measurement
