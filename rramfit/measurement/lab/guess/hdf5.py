"""Draft of a layout file for arrays, guessed from their names, shapes and units."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rramfit.hdf5 import Dataset
from rramfit.hdf5.nodes import File
from rramfit.measurement.file.opening import plain
from rramfit.measurement.lab.formats.arrays import is_matlab
from rramfit.units import ACCEPTED_UNITS

__all__ = ["guess_hdf5"]

_READINGS: Sequence[tuple[str, str]] = (
    ("S", r"g|cond.*|g_.*"),
    ("ohm", r"r|res.*|r_.*|.*ohm.*"),
    ("A", r"i|curr.*|i_.*"),
)
_OTHERS: Sequence[tuple[str, str]] = (
    ("level", r"(target_?)?(level|state)s?|pattern"),
    ("verified", r"ok|verified|pass(ed)?|success|accepted"),
    ("pulses", r"(n_?)?pulses|attempts|iterations"),
)


def guess_hdf5(path: Path, f: File, *, numpy: bool = False) -> str:
    """Draft a layout file for an HDF5, MATLAB or NumPy file.

    Parameters
    ----------
    path : Path
    f : File
        The file, open.
    numpy : bool
        Whether it is an .npz or .npy file.

    Returns
    -------
    str
        TOML text with comments.
    """
    matlab = is_matlab(path)
    found = list(f.datasets())
    numeric = [d for d in found if d.dtype.kind in "biuf" and d.size > 1]
    readings, units = _readings(numeric)
    shape = _shape(readings, matlab=matlab) if readings is not None else ()
    axes, rows, cols = _axes(shape)
    kind = "matlab" if matlab else "numpy" if numpy else "hdf5"
    out = [
        f"# Draft layout for {path.name}. Review every line marked CHECK or FILL IN.",
        "# Datasets in the file:",
        *(f"#   {d.name}  {_shape(d, matlab=matlab)} {d.type_name}{_units_text(d)}" for d in found),
        "",
        "[array]",
        f'id = "{path.name.split(".")[0]}"',
        'cell = "1T1R"  # CHECK: 1T1R, 2T1R, 1S1R or 1R',
        f"rows = {rows}  # CHECK",
        f"cols = {cols}  # CHECK",
        *(["tiles = [128, 128]"] if rows == cols == 256 else []),
        "",
        "[source]",
        f'kind = "{kind}"' + ("  # axes are in the order of MATLAB's size()" * matlab),
        "",
    ]
    others = [(key, d) for d in numeric if (key := _other(d)) and d is not readings]
    if any(key == "level" for key, _ in others):
        out += [
            "[levels]",
            "target = []  # FILL IN: the target of each level, in rising order of conductance",
            'units = "uS"',
            "",
        ]
    out.append("[program]  # CHECK: move repeated reads to [reads] or [retention]")
    if readings is None:
        out.append('conductance = { path = "", axes = [], units = "" }  # FILL IN')
    else:
        out.append(_dataset_line("conductance", readings, axes, units))
    for key, d in dict(others).items():
        names, _, _ = _axes(_shape(d, matlab=matlab))
        out.append(_dataset_line(key, d, names, ""))
    out.append('read_voltage = ""  # FILL IN: [V]')
    return "\n".join(out) + "\n"


def _shape(d: Dataset, *, matlab: bool) -> tuple[int, ...]:
    shape: tuple[int, ...] = d.shape[::-1] if matlab else d.shape
    return shape


def _units_text(d: Dataset) -> str:
    units = plain(d.attrs.get("units"))
    return f", units {units!r}" if units is not None else ""


def _leaf(d: Dataset) -> str:
    return str(d.name).rsplit("/", 1)[-1].casefold()


def _readings(numeric: Sequence[Dataset]) -> tuple[Dataset | None, str]:
    """Return the dataset that most likely holds cell readings, and the unit its name suggests."""
    cells = [d for d in numeric if d.ndim in (2, 3) and min(d.shape[-2:]) > 1]
    for units, pattern in _READINGS:
        for d in cells:
            if d.dtype.kind == "f" and re.fullmatch(pattern, _leaf(d)):
                return d, units
    floats = [d for d in cells if d.dtype.kind == "f"]
    return (max(floats, key=lambda d: int(d.size)), "") if floats else (None, "")


def _other(d: Dataset) -> str:
    return next((key for key, pattern in _OTHERS if re.fullmatch(pattern, _leaf(d))), "")


def _axes(shape: tuple[int, ...]) -> tuple[list[str], int, int]:
    """Return axis names, rows and columns; the two axes of most similar size are the array's."""
    if len(shape) == 1:
        return ["sweep"], 1, 1
    if len(shape) == 2:
        return ["row", "col"], shape[0], shape[1]
    if len(shape) != 3:
        return [], 1, 1
    first_two, last_two = abs(shape[0] - shape[1]), abs(shape[1] - shape[2])
    if first_two < last_two:
        return ["row", "col", "sweep"], shape[0], shape[1]
    return ["sweep", "row", "col"], shape[1], shape[2]


def _dataset_line(key: str, d: Dataset, axes: Sequence[str], hint: str) -> str:
    named = ", ".join(f'"{a}"' for a in axes)
    start = f'{key} = {{ path = "{d.name}", axes = [{named}]'
    if key != "conductance":
        return f"{start} }}  # CHECK the axes"
    units = plain(d.attrs.get("units"))
    accepted = (*ACCEPTED_UNITS["conductance"], *ACCEPTED_UNITS["current"])
    if isinstance(units, str) and units in accepted:
        voltage = ", voltage = 0" if units in ACCEPTED_UNITS["current"] else ""
        check = "  # CHECK the axes" + (", FILL IN the voltage [V]" if voltage else "")
        return f'{start}, units = "{units}"{voltage} }}{check}'
    voltage = ", voltage = 0" if hint == "A" else ""
    check = "CHECK the axes; the file has no unit: CHECK it, or FILL IN"
    if voltage:
        check += ", and FILL IN the voltage [V]"
    return f'{start}, units = "{hint}"{voltage} }}  # {check}'
