"""What the wires take of an array's currents: from the card's resistances, and its own cells.

The card gives the resistances. Where it knows only the sum of two, each is taken as half of it;
one that it does not know at all is taken as 0. The cells are those of `/mvm`: where they were read
at their terminals, the wires in series with each are taken off, as in the fit. Currents are solved
exactly (`rramfit.array`), gated rows and large arrays iteratively to 1e-6.
Measured currents are divided by the fitted gain, so that they stand beside the model's.

Nothing is estimated here; the fit is `rramfit.fitting.electrical.line_fit`.
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
"""The four resistances, as a card's fields begin."""

_LARGEST = 256 * 256  # cells of an array that is merged while a report is made
_TOLERANCE = 1e-6  # of iterative solutions, far below any measured current's noise
_JUDGED = 4  # patterns by which estimates are judged where rows without input are not grounded
_OPEN = 0.05  # of the mean conductance: below it a cell's own current is not what it adds
_LEAST_MARGIN = 0.05  # of a terminal read's resistance that must be left for the cell


@dataclass(frozen=True, slots=True, kw_only=True)
class LineData:
    """Measured currents beside those of the card's wires, and what the wires take."""

    line: LineResistance
    gain: float
    measured: Floats  # [A]  (pattern, col) over the gain; NaN where not measured
    predicted: Floats  # [A]  (pattern, col)
    ideal: Floats  # [A]  (pattern, col) through wires without resistance
    effect: Floats | None  # (row, col) effective over own conductance; None for large arrays
    certificates: dict[str, Certificate]  # of the fast estimates; empty for large arrays


def known_line(card: LineCard) -> LineResistance:
    """Wires of a card, with sums of two resistances shared out in halves."""
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
    """Solve the measured array with the card's wires.

    Parameters
    ----------
    card : LineCard
    mvm : MVM
        Its input patterns, currents and cells; cells that were not read take the median of those
        that were, and their columns' currents count as not measured where most columns are whole.

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
    whole = ~gaps.any(axis=0)
    told = whole if whole.sum() >= whole.size / 2 else np.ones_like(whole)
    small = g.size <= _LARGEST
    some = slice(None)
    if line.inactive_rows != "grounded":
        some = slice(None, None, max(1, -(-len(mvm.voltage) // _JUDGED)))
    effect = t = None
    if small:
        t = effective_matrix(torch.tensor(g), line).numpy()
        own = g > _OPEN * g.mean()
        effect = np.where(own, t / np.where(own, g, 1.0), np.nan)
    on = (mvm.voltage != 0).any(axis=1)
    flows = small and bool(on[some].any()) and bool(g.any())
    return LineData(
        line=line,
        gain=gain,
        measured=np.where(told, mvm.current / gain, np.nan),
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
    """Take off the wires that were in series with each cell when it was read alone.

    Parameters
    ----------
    conductance : (row, col) array
        Read at the terminals [S].
    line : LineResistance

    Returns
    -------
    (row, col) array
        [S]; a cell of which the wires would leave less than 5 % of its resistance keeps that much.
    """
    import torch

    from rramfit.array.wires.wire_operator import Wires

    path = Wires.of(line, torch.tensor(conductance)).diagonal(*conductance.shape).numpy()
    out: Floats = conductance / np.maximum(1 - conductance * path, _LEAST_MARGIN)
    return out
