"""Column currents predicted from the card's wire resistances and the measured cells.

If the card has only the sum of two resistances, each counts as half of it; an unknown resistance
counts as 0. The cells are those of `/mvm`: for terminal reads, the series resistance of the wires
is subtracted, as in the fit. Currents are solved exactly (`rramfit.array`), for gated rows and
large arrays iteratively to 1e-6. Measured currents are divided by the fitted gain.

Not here: the fit (`rramfit.fitting.electrical.line_fit`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card.schema import LineCard
from rramfit.measurement.file.record import MVM
from rramfit.measurement.virtual.groups import line_of

if TYPE_CHECKING:
    from rramfit.array.wires.certificate import Certificate
    from rramfit.array.wires.line import LineResistance

__all__ = [
    "RESISTANCE_NAMES",
    "LineData",
    "compute_line_data",
    "intrinsic_conductance",
    "known_line",
]

Floats = NDArray[np.float64]

RESISTANCE_NAMES = ("wordline", "bitline", "driver", "sense")
"""The four resistances; a card's fields are these names with ``_resistance``."""

_LARGEST = 256 * 256  # cells, above which the effective matrix is not computed
_TOLERANCE = 1e-6  # of iterative solutions, far below the noise of measured currents
_CHECKED = 4  # patterns to check estimates on if rows without input are not grounded
_OPEN = 0.05  # of the mean conductance; smaller cells are not shown
_LEAST_MARGIN = 0.05  # minimum share of the cell in the resistance of a terminal read


@dataclass(frozen=True, slots=True, kw_only=True)
class LineData:
    """Measured currents, currents predicted with the card's wires, and effective conductance."""

    line: LineResistance
    gain: float
    measured: Floats  # [A]  (pattern, col) divided by the gain; NaN if not measured
    predicted: Floats  # [A]  (pattern, col)
    ideal: Floats  # [A]  (pattern, col) through wires without resistance
    effect: Floats | None  # (row, col) effective over cell conductance; None for large arrays
    certificates: dict[str, Certificate]  # of the fast estimates; empty for large arrays


def known_line(card: LineCard) -> LineResistance:
    """Return the wires of a card; the sum of two resistances is divided equally."""
    line = line_of(card)
    known: dict[str, float] = {
        name: q.value
        for name in RESISTANCE_NAMES
        if (q := getattr(card, f"{name}_resistance")) is not None
    }
    for terms, total in card.combinations.items():
        pair = [term.strip().removesuffix("_resistance") for term in terms.split("+")]
        unknown = [name for name in pair if name in RESISTANCE_NAMES and name not in known]
        rest = max(total.value - sum(known.get(name, 0.0) for name in pair), 0.0)
        known |= {name: rest / len(unknown) for name in unknown}
    return dataclasses.replace(
        line,
        r_wl=known.get("wordline", 0.0),
        r_bl=known.get("bitline", 0.0),
        r_driver=known.get("driver", 0.0),
        r_sense=known.get("sense", 0.0),
    )


def compute_line_data(card: LineCard, mvm: MVM) -> LineData:
    """Compute the column currents of the measured array with the card's wires.

    Parameters
    ----------
    card : LineCard
    mvm : MVM
        Input patterns, currents and cells. Unread cells take the median of the others; if at least
        half of the columns are complete, the currents of the others count as not measured.

    Returns
    -------
    LineData

    Raises
    ------
    ArrayError
        If a solver does not reach its tolerance.
    """
    import torch

    from rramfit.array.wires.effective import effective_matrix
    from rramfit.array.wires.solver_comparison import estimate_certificates

    line = known_line(card)
    gain = card.gain.value if card.gain and card.gain.value > 0 else 1.0
    gaps = ~np.isfinite(mvm.conductance)
    g = np.maximum(np.where(gaps, np.nanmedian(mvm.conductance), mvm.conductance), 0.0)
    if mvm.cell_reads == "terminal":
        g = intrinsic_conductance(g, line)
    complete = ~gaps.any(axis=0)
    used = complete if complete.sum() >= complete.size / 2 else np.ones_like(complete)
    small = g.size <= _LARGEST
    some = slice(None)
    if line.inactive_rows != "grounded":
        some = slice(None, None, max(1, -(-len(mvm.voltage) // _CHECKED)))
    effect = t = None
    if small:
        t = effective_matrix(torch.tensor(g), line).numpy()
        shown = g > _OPEN * g.mean()
        effect = np.where(shown, t / np.where(shown, g, 1.0), np.nan)
    on = (mvm.voltage != 0).any(axis=1)
    flows = small and bool(on[some].any()) and bool(g.any())
    return LineData(
        line=line,
        gain=gain,
        measured=np.where(used, mvm.current / gain, np.nan),
        predicted=_predicted(g, mvm.voltage, line, t),
        ideal=mvm.voltage @ g,
        effect=effect,
        certificates=estimate_certificates(g, mvm.voltage[some], line) if flows else {},
    )


def _predicted(g: Floats, voltage: Floats, line: LineResistance, t: Floats | None) -> Floats:
    import torch

    from rramfit.array.wires.effective import column_currents
    from rramfit.array.wires.nonlinear import solve_iterative

    if t is not None and line.inactive_rows == "grounded":
        return voltage @ t
    cells, v = torch.tensor(g), torch.tensor(voltage)
    with torch.no_grad():
        if t is not None and line.inactive_rows == "floating":
            return column_currents(cells, v, line).numpy()
        return solve_iterative(cells, v, line, tolerance=_TOLERANCE).column_current.numpy()


def intrinsic_conductance(conductance: Floats, line: LineResistance) -> Floats:
    """Subtract the series resistance of the wires from terminal reads of single cells.

    Parameters
    ----------
    conductance : (row, col) array
        Read at the terminals [S].
    line : LineResistance

    Returns
    -------
    (row, col) array
        [S]; at least 5 % of the read resistance is assigned to the cell.
    """
    import torch

    from rramfit.array.wires.wire_operator import Wires

    path = Wires.of(line, torch.tensor(conductance)).diagonal(*conductance.shape).numpy()
    out: Floats = conductance / np.maximum(1 - conductance * path, _LEAST_MARGIN)
    return out
