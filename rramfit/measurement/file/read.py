"""Reading a measurement file: open it, validate it, then build its records in SI units."""

from __future__ import annotations

from pathlib import Path

from rramfit.measurement.file.contents import measurement_contents
from rramfit.measurement.file.opening import open_measured
from rramfit.measurement.file.problem import raise_first_violation
from rramfit.measurement.file.record import Measurement
from rramfit.measurement.file.validate import layout_problems

__all__ = ["read_measurement"]


def read_measurement(path: Path | str) -> Measurement:
    """Read a measurement file of layout 1.0.

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
        If the file violates the layout; the message names the first violation and the number of
        further ones.
    """
    path = Path(path)
    with open_measured(path) as f:
        raise_first_violation(layout_problems(f, path))
        return measurement_contents(path, f)
