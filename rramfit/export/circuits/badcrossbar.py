"""badcrossbar 1.1: resistances of drawn tiles, row voltages, and a script that solves them.

badcrossbar solves ohmic arrays with one resistance for all segments of the wordlines, that to the
source included, and one for all of the bitlines, that to ground included. A driver of k segments
is expressed by k − 1 columns of open devices before the cells, and a sense input in the same way by
rows below them: exact if k is whole, and else within half a segment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rramfit.export.circuits.solved import circuit_cells, negative_reads, solved_currents
from rramfit.export.contract import Export, Exporter, ExportError, Limit
from rramfit.export.drawn import (
    CHIP_OPTIONS,
    INPUT_OPTION,
    MAPPING_NOTE,
    card_line,
    draw,
    input_voltages,
    mapping_csv,
)
from rramfit.export.limits import PROPERTIES, limits
from rramfit.export.npz_file import npz_bytes

if TYPE_CHECKING:
    from rramfit.array.wires.line import LineResistance
    from rramfit.card.schema import ModelCard

__all__ = ["EXPORTER", "padding"]

_MOST_PADDING = 512
_EXPRESSED = frozenset(PROPERTIES) - {"nonlinearity", "readout", "ends", "inactive_rows"}

_RUN = '''"""Solve the tiles with badcrossbar, and compare the column currents with rramfit."""

import logging
import warnings

import numpy as np

with warnings.catch_warnings(record=True):  # plotting needs pycairo; solving does not
    import badcrossbar

logging.disable(logging.INFO)
tile = np.load("tiles.npz")
left, below, gated = int(tile["open_columns"]), int(tile["open_rows"]), bool(tile["gated"])
resistance, voltage = tile["resistance"], tile["voltage"]
chips, tiles, rows, cols = resistance.shape
currents = np.zeros((chips, tiles, len(voltage), cols))
for c in range(chips):
    for t in range(tiles):
        array = np.full((rows + below, left + cols), np.inf)
        groups = [np.arange(len(voltage))] if not gated else np.arange(len(voltage))[:, None]
        for group in groups:
            on = (voltage[group[0]] != 0) if gated else np.ones(rows, dtype=bool)
            array[:rows, left:] = np.where(on[:, None], resistance[c, t], np.inf)
            applied = np.zeros((rows + below, len(group)))
            applied[:rows] = voltage[group].T
            solution = badcrossbar.compute(
                applied,
                array,
                r_i_word_line=float(tile["r_wl"]),
                r_i_bit_line=float(tile["r_bl"]),
                node_voltages=False,
                all_currents=False,
            )
            currents[c, t, group] = solution.currents.output[:, left:]

np.save("currents.npy", currents)
scale = np.abs(tile["expected"]).max()
worst = np.abs(currents - tile["expected"]).max() / scale if scale > 0 else 0.0
print(f"{currents.size} column currents in currents.npy (chip, tile, vector, column) [A]")
print(f"largest difference from rramfit: {worst:.2g} of the largest current")
'''


def padding(end: float, segment: float) -> tuple[int, float]:
    """Return the number of open devices that express an end, and the resistance that is left over.

    Parameters
    ----------
    end, segment : float
        Resistance of a driver or a sense input, and of a segment [ohm].

    Returns
    -------
    open_devices : int
    left_over : float
        Resistance of the end less that of the expressed one [ohm].
    """
    if segment <= 0:
        return 0, end
    wanted = max(round(end / segment) - 1, 0)
    number = wanted if wanted <= _MOST_PADDING else 0
    return number, end - (number + 1) * segment


def _ends(line: LineResistance) -> tuple[tuple[int, int], list[Limit]]:
    r_wl, r_bl, r_driver, r_sense = (float(x) for x in line.values)
    columns, left = padding(r_driver, r_wl)
    rows, below = padding(r_sense, r_bl)
    found = [
        Limit(
            what=f"The {name} is a whole number of {wire} segments, at least one.",
            size=f"{abs(rest):.3g} Ω too {'little' if rest > 0 else 'much'} of {end:.3g} Ω",
        )
        for name, wire, rest, end in (
            ("driver resistance", "wordline", left, r_driver),
            ("sense resistance", "bitline", below, r_sense),
        )
        if abs(rest) > 1e-9 * max(end, 1.0)
    ]
    return (rows, columns), found


def _export(card: ModelCard, options: Mapping[str, Any]) -> Export:
    line = card_line(card)
    if line.inactive_rows == "floating" and options["inputs"] is not None:
        msg = (
            "badcrossbar grounds inactive rows, and this card's rows float. Use vectors without 0 "
            "V, or export to ngspice."
        )
        voltage = input_voltages(card, options["inputs"], options["rows"] or card.array.rows)
        if (voltage == 0).any():
            raise ExportError(msg)
    chips = draw(card, options)
    voltage = input_voltages(card, options["inputs"], chips.shape[2])
    slope, none = circuit_cells(chips, ohmic=True)
    (rows, columns), approximated = _ends(line)
    with np.errstate(divide="ignore"):
        resistance = 1 / slope
    tiles = {
        "resistance": resistance,
        "voltage": voltage,
        "r_wl": np.array(float(line.r_wl)),
        "r_bl": np.array(float(line.r_bl)),
        "open_columns": np.array(columns),
        "open_rows": np.array(rows),
        "gated": np.array(line.inactive_rows == "gated"),
        "expected": solved_currents(slope, none, voltage, line),
    }
    return Export(
        files={"tiles.npz": npz_bytes(tiles), "run.py": _RUN, **mapping_csv(chips)},
        commands=("pip install badcrossbar==1.1.0", "python3 run.py"),
        approximated=(*approximated, *negative_reads(chips)),
        missing=limits(card, expressed={*_EXPRESSED, "ends", "inactive_rows"}),
        notes=(
            MAPPING_NOTE,
            (
                "`resistance` [ohm] is (chip, tile, row, col), of one read at the read voltage; "
                "`inf` is an open cell. `voltage` [V] is (vector, row)."
            ),
            (
                "If pycairo cannot be built: `pip install --no-deps badcrossbar pathvalidate`, "
                "with numpy and scipy. Only plots need it."
            ),
        ),
    )


EXPORTER = Exporter(
    name="badcrossbar",
    title="badcrossbar 1.1",
    writes="`tiles.npz` has the resistances of drawn tiles, the wires and the row voltages; "
    "`run.py` solves them with badcrossbar.",
    cannot="badcrossbar solves ohmic arrays whose inactive rows are grounded; gated rows are "
    "open rows in the script, and floating rows are refused.",
    verified="The tests run the script with badcrossbar 1.1.0 and find the column currents of "
    "rramfit within 1e-9 where driver and sense resistance are whole numbers of segments.",
    export=_export,
    options=(*CHIP_OPTIONS, INPUT_OPTION),
)
