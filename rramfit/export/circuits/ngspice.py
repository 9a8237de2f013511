"""A tile as a SPICE netlist: drivers, wires, sinh cells, sense inputs, for many drawn chips.

Node `w_i_j` is the wordline and `b_i_j` the bitline at cell (i, j). Row i is driven by `Vd_i`
through the driver resistance before column 0; column j ends in the sense resistance and the 0 V
source `Vs_j`, whose current is the column current. A resistance of zero is no element: its nodes
are one.

    wires.inc                   segments, drivers' and sense resistances, sense sources
    cells_cC_tT.inc             the cells of tile T of chip C
    run_cC_tT_vV.cir            one operating point: inputs of vector V; writes currents_….txt

Inactive rows (0 V) are grounded by their driver, floating (no driver), or gated (cells of the row
cut off), as the card says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rramfit.export.circuits.solved import circuit_cells, negative_reads, solved_currents
from rramfit.export.contract import Export, Exporter, ExportError, Limit, Option
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

if TYPE_CHECKING:
    from rramfit.array.wires.line import LineResistance
    from rramfit.card.schema import ModelCard

__all__ = ["EXPORTER", "Nodes", "cells_text", "run_text", "wires_text"]

Floats = NDArray[np.float64]

_MOST_CELLS, _MOST_POINTS = 4_000_000, 10_000
_EXPRESSED = frozenset(PROPERTIES) - {"readout"}
_LEAST_B = 1e-9  # [1/V] below this a cell is a resistor

_COLLECT = '''"""Gather the column currents that ngspice wrote, and compare them with rramfit."""

import csv
import glob
import math
import re

expected = {}
with open("expected.csv", newline="") as file:
    for row in csv.DictReader(file):
        key = tuple(int(row[k]) for k in ("chip", "tile", "vector", "col"))
        expected[key] = float(row["current"])

found = {}
for path in sorted(glob.glob("currents_*.txt")):
    chip, tile, vector = map(int, re.findall(r"[0-9]+", path))
    with open(path) as file:
        for line in file:
            match = re.match(r"i\\(vs_([0-9]+)\\)\\s*=\\s*(\\S+)", line.strip(), re.IGNORECASE)
            if match:
                found[chip, tile, vector, int(match[1])] = float(match[2])

with open("currents.csv", "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["chip", "tile", "vector", "col", "current"])
    writer.writerows([*key, repr(current)] for key, current in sorted(found.items()))

missing = len(expected.keys() - found.keys())
print(f"{len(found)} column currents in currents.csv; {missing} are missing")
scale = max((abs(x) for x in expected.values()), default=0.0)
if found and scale > 0:
    worst = max(abs(found[k] - expected[k]) for k in found if k in expected) / scale
    print(f"largest difference from rramfit: {worst:.2g} of the largest current")
    mean = sum(found.values()) / len(found)
    std = math.sqrt(sum((x - mean) ** 2 for x in found.values()) / len(found))
    print(f"over chips, tiles, vectors and columns: mean {mean:.6g} A, std {std:.3g} A")
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """Names of nodes; those that a zero resistance joins have one name."""

    rows: int
    cols: int
    line: LineResistance

    def _zero(self, name: str) -> bool:
        return float(getattr(self.line, name)) == 0

    def driven(self, i: int) -> str:
        """Return the node of the source of row i."""
        return f"in_{i}"

    def wordline(self, i: int, j: int) -> str:
        """Return the wordline node of cell (i, j)."""
        if self._zero("r_wl"):
            j = 0
        return self.driven(i) if j == 0 and self._zero("r_driver") else f"w_{i}_{j}"

    def bitline(self, i: int, j: int) -> str:
        """Return the bitline node of cell (i, j)."""
        if self._zero("r_bl"):
            i = self.rows - 1
        if i == self.rows - 1 and self._zero("r_sense"):
            return self.sensed(j)
        return f"b_{i}_{j}"

    def sensed(self, j: int) -> str:
        """Return the node of the sense input of column j."""
        return f"s_{j}"


def wires_text(nodes: Nodes) -> str:
    """Return the wires, sense resistances and sense sources; not the drivers."""
    line, lines = nodes.line, ["* wires and sense inputs"]
    r_wl, r_bl, _, r_sense = (float(x) for x in line.values)
    for i in range(nodes.rows):
        if r_wl > 0:
            lines += [
                f"Rw_{i}_{j} {nodes.wordline(i, j - 1)} {nodes.wordline(i, j)} {r_wl!r}"
                for j in range(1, nodes.cols)
            ]
    for j in range(nodes.cols):
        if r_bl > 0:
            lines += [
                f"Rb_{i}_{j} {nodes.bitline(i, j)} {nodes.bitline(i + 1, j)} {r_bl!r}"
                for i in range(nodes.rows - 1)
            ]
        if r_sense > 0:
            lines.append(f"Rs_{j} {nodes.bitline(nodes.rows - 1, j)} {nodes.sensed(j)} {r_sense!r}")
        lines.append(f"Vs_{j} {nodes.sensed(j)} 0 0")
    return "\n".join(lines) + "\n"


def cells_text(nodes: Nodes, slope: Floats, nonlinearity: Floats, title: str) -> str:
    """Return the cells of one tile; open cells are absent.

    Parameters
    ----------
    nodes : Nodes
    slope, nonlinearity : (row, col) arrays
        G0 [S] and b [1/V].
    title : str
        First line.
    """
    gated = nodes.line.inactive_rows == "gated"
    lines = [f"* {title}"]
    for i, j in np.argwhere(slope > 0).tolist():
        g, b = float(slope[i, j]), float(nonlinearity[i, j])
        a, c = nodes.wordline(i, j), nodes.bitline(i, j)
        on = f"on_{i}*" if gated else ""
        if b > _LEAST_B:
            lines.append(f"Bc_{i}_{j} {a} {c} I={{{on}{g / b!r}}}*sinh({b!r}*V({a},{c}))")
        elif gated:
            lines.append(f"Bc_{i}_{j} {a} {c} I={{{on}{g!r}}}*V({a},{c})")
        else:
            lines.append(f"Rc_{i}_{j} {a} {c} {1 / g!r}")
    return "\n".join(lines) + "\n"


def run_text(nodes: Nodes, voltage: Floats, *, name: str, includes: tuple[str, ...]) -> str:
    """Return the netlist of one operating point.

    Parameters
    ----------
    nodes : Nodes
    voltage : (row,) array
        [V]
    name : str
        Of the point; the currents are written to `currents_NAME.txt`.
    includes : tuple of str
        Files with the wires and the cells.
    """
    line = nodes.line
    r_driver = float(line.r_driver)
    lines = [f"* column currents {name}"]
    if line.inactive_rows == "gated":
        lines += [f".param on_{i}={int(v != 0)}" for i, v in enumerate(voltage)]
    for i, v in enumerate(voltage.tolist()):
        if line.inactive_rows == "floating" and v == 0:
            lines.append(f"Rn_{i} {nodes.wordline(i, 0)} 0 1e30")  # or a row of open cells has
            continue  #                                              no potential
        lines.append(f"Vd_{i} {nodes.driven(i)} 0 {v!r}")
        if r_driver > 0:
            lines.append(f"Rd_{i} {nodes.driven(i)} {nodes.wordline(i, 0)} {r_driver!r}")
    lines += [f'.include "{include}"' for include in includes]
    lines += [
        ".options reltol=1e-10 abstol=1e-20 vntol=1e-14 gmin=1e-30",
        ".control",
        "set numdgt=15",
        "op",
        f"echo column currents [A] > currents_{name}.txt",
    ]
    lines += [f"print i(vs_{j}) >> currents_{name}.txt" for j in range(nodes.cols)]
    lines += ["quit", ".endc", ".end"]
    return "\n".join(lines) + "\n"


def _expected(currents: Floats) -> Iterator[str]:
    yield "chip,tile,vector,col,current"
    for key, current in np.ndenumerate(currents):
        yield ",".join(map(str, key)) + f",{float(current)!r}"


def _export(card: ModelCard, options: Mapping[str, Any]) -> Export:
    chips, line = draw(card, options, most_cells=_MOST_CELLS), card_line(card)
    count, tiles, rows, cols = chips.shape
    voltage = input_voltages(card, options["inputs"], rows)
    if count * tiles * len(voltage) > _MOST_POINTS:
        msg = (
            f"{count} chips of {tiles} tiles with {len(voltage)} inputs each are more than "
            f"{_MOST_POINTS:,} operating points. Draw fewer chips, or give fewer inputs."
        )
        raise ExportError(msg)
    slope, b = circuit_cells(chips, ohmic=options["cells"] == "ohmic")
    nodes = Nodes(rows=rows, cols=cols, line=line)
    files: dict[str, str] = {"wires.inc": wires_text(nodes)}
    for c in range(count):
        for t in range(tiles):
            tile = f"c{c}_t{t}"
            files[f"cells_{tile}.inc"] = cells_text(
                nodes, slope[c, t], b[c, t], f"cells of chip {c}, tile {t}"
            )
            for v in range(len(voltage)):
                name = f"{tile}_v{v}"
                includes = ("wires.inc", f"cells_{tile}.inc")
                files[f"run_{name}.cir"] = run_text(nodes, voltage[v], name=name, includes=includes)
    currents = solved_currents(slope, b, voltage, line)
    files["expected.csv"] = "\n".join(_expected(currents)) + "\n"
    files |= {"collect.py": _COLLECT, **mapping_csv(chips)}
    approximated = [*negative_reads(chips)]
    if chips.read_std.any() and chips.read.any():
        approximated.append(
            Limit(
                what="Read noise is drawn once per chip and is the same for all its inputs.",
                size=f"{100 * float(chips.read_std.sum() / np.abs(chips.read).sum()):.2g} % of the "
                "conductance of all cells together",
            )
        )
    left = {"nonlinearity"} if options["cells"] == "ohmic" else set()
    return Export(
        files=files,
        commands=(
            "for f in run_*.cir; do ngspice -b $f > /dev/null; done",
            "python3 collect.py",
        ),
        approximated=tuple(approximated),
        missing=limits(card, expressed=_EXPRESSED - left),
        notes=(
            (
                "`expected.csv` has the column currents by the solvers of rramfit [A]; "
                "`collect.py` compares."
            ),
            (
                "The nonlinear cells are B sources, which ngspice, Xyce and LTspice read; the "
                "`.control` block belongs to ngspice."
            ),
            f"Inactive rows (0 V) are {line.inactive_rows}.",
            MAPPING_NOTE,
        ),
    )


EXPORTER = Exporter(
    name="ngspice",
    title="ngspice",
    writes="Netlists of tiles with wires, drivers, sinh cells and sense inputs: one file of "
    "cells for each drawn chip and tile, and one operating point for each input vector.",
    cannot="A netlist of the array has no converters, and an operating point has no noise and no "
    "history.",
    verified="The tests run ngspice on tiles of several cards, with grounded, floating and gated "
    "rows, and find the column currents of rramfit within 1e-6.",
    export=_export,
    options=(
        *CHIP_OPTIONS,
        INPUT_OPTION,
        Option(
            name="cells",
            kind=str,
            default="sinh",
            meaning="I-V of the cells",
            choices=("sinh", "ohmic"),
        ),
    ),
    aliases=("spice",),
)
