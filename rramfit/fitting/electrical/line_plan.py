"""Planning of input patterns for a wanted standard error of the line resistances.

The model predicts the information in a set of patterns before any measurement. With sensitivities J
whitened by the assumed errors of currents and cell reads, the covariance is (J^T J)^-1, including a
free gain. Four kinds of patterns are compared,

    all rows      every row active, repeated
    random half   a different random half of the rows active each time
    window        an eighth of the rows active, moving over the array
    one row       a single row active, moving over the array

each ordered so that even the first few patterns cover the array. The smallest set that reaches the
wanted standard errors is proposed. The fit is in `rramfit.fitting.electrical.line_fit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import result_html
from rramfit.errors import FitError
from rramfit.fitting.electrical.line_fit import parameter_covariance
from rramfit.fitting.electrical.line_model import RESISTANCES, LineModel
from rramfit.fitting.electrical.line_noise import known_error_model
from rramfit.streams import stream

if TYPE_CHECKING:
    import pandas as pd

    from rramfit.array.wires.line import LineResistance

__all__ = ["PATTERN_KINDS", "LinePlan", "plan_lines"]

Floats = NDArray[np.float64]

PATTERN_KINDS = ("all rows", "random half", "window", "one row")
"""Kinds of patterns that are compared."""

_MIN_PATTERNS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LinePlan:
    """Patterns to measure, with the expected standard errors.

    Attributes
    ----------
    kind : str
        One of `PATTERN_KINDS`.
    voltage : (pattern, row) array [V]
    stderr : dict of str to float
        Expected standard errors [ohm].
    wanted : dict of str to float
        Requested standard errors [ohm].
    met : bool
        Whether all requested standard errors are reached.
    compared : dict of (str, int) to dict
        Standard errors of every kind and number of patterns compared [ohm].
    """

    kind: str
    voltage: Floats
    stderr: dict[str, float]
    wanted: dict[str, float]
    met: bool
    compared: dict[tuple[str, int], dict[str, float]]

    def __post_init__(self) -> None:
        self.voltage.flags.writeable = False

    def to_frame(self) -> pd.DataFrame:
        """Return one row per kind and number of patterns; standard errors in ohm."""
        import pandas as pd

        rows = [{"kind": k, "patterns": n, **s} for (k, n), s in self.compared.items()]
        return pd.DataFrame(rows).set_index(["kind", "patterns"])

    def _repr_html_(self) -> str:
        rows = {
            name: {
                "expected standard error": f"{error:.3g} ohm",
                "wanted": f"{self.wanted[name]:.3g} ohm" if name in self.wanted else "",
            }
            for name, error in self.stderr.items()
        }
        return result_html(self._headline(), rows)

    def _headline(self) -> str:
        reached = "the wanted standard errors are reached"
        missed = "best plan found, but the wanted standard errors are not reached"
        return f"{len(self.voltage)} patterns, {self.kind}: {reached if self.met else missed}"

    def summary(self) -> str:
        """Return the plan as readable text."""
        lines = [
            f"  {name:<22} ± {error:.3g} ohm"
            + (f" (wanted {self.wanted[name]:.3g} ohm)" if name in self.wanted else "")
            for name, error in self.stderr.items()
        ]
        return "\n".join((self._headline(), *lines))


def plan_lines(
    conductance: Floats,
    line: LineResistance,
    *,
    wanted: Mapping[str, float],
    read_voltage: float = 0.2,
    current_noise: float = 0.01,
    cell_error: float = 0.005,
    max_patterns: int = 64,
    seed: int = 0,
) -> LinePlan:
    """Propose input patterns for wanted standard errors.

    Parameters
    ----------
    conductance : (row, col) array
        Expected cells, or a sample of such cells [S].
    line : LineResistance
        A guess of the wires, driven from the left.
    wanted : mapping of str to float
        Standard error [ohm] by name, one of
        `rramfit.fitting.electrical.line_model.RESISTANCES`.
    read_voltage : float
        Voltage of active rows [V].
    current_noise, cell_error : float
        Relative standard deviation of a column current, and of a cell read.
    max_patterns : int
        Largest number of patterns.
    seed : int
        Seed of the random halves.

    Returns
    -------
    LinePlan

    Raises
    ------
    FitError
        If `wanted` is empty, names anything but a resistance, or has an error of 0 or less.
    """
    bad = [name for name, error in wanted.items() if name not in RESISTANCES or not error > 0]
    if bad or not wanted:
        found = ", ".join(bad) or "nothing"
        expected = ", ".join(RESISTANCES)
        msg = f"wanted standard errors: found {found}; expected values above 0 for {expected}"
        raise FitError(msg)
    powers = (4, 8, 16, 32, 64, 128, 256, 512)
    counts = [c for c in powers if _MIN_PATTERNS <= c <= max_patterns] or [max_patterns]
    compared: dict[tuple[str, int], dict[str, float]] = {}
    drives: dict[str, Floats] = {}
    guess = np.array([float(r) for r in (line.r_wl, line.r_bl, line.r_driver, line.r_sense)])
    for kind in PATTERN_KINDS:
        on = _patterns(kind, conductance.shape[0], counts[-1], seed)
        drives[kind] = read_voltage * on
        model = LineModel(
            voltage=drives[kind],
            conductance=np.maximum(np.asarray(conductance, dtype=np.float64), 0.0),
            inactive_rows=line.inactive_rows,
            cell_reads="intrinsic",
        )
        response = model.response(guess)
        slopes = np.concatenate((response.sensitivity, response.current[None]))
        for count in counts:
            errors = known_error_model(
                response.current[:count],
                response.cell[:count],
                noise=current_noise,
                cell_error=cell_error,
            )
            x = errors.whiten(slopes[:, :count])
            stderr = np.sqrt(np.diagonal(parameter_covariance(x @ x.T)))
            compared[kind, count] = dict(zip(RESISTANCES, stderr[:4].tolist(), strict=True))
    shortfall = {
        key: max(stderr[name] / error for name, error in wanted.items())
        for key, stderr in compared.items()
    }
    met = [key for key, x in shortfall.items() if x <= 1]
    kind, count = (
        min(met, key=lambda key: (key[1], shortfall[key]))
        if met
        else min(shortfall, key=lambda key: shortfall[key])
    )
    return LinePlan(
        kind=kind,
        voltage=drives[kind][:count].copy(),
        stderr=compared[kind, count],
        wanted=dict(wanted),
        met=bool(met),
        compared=compared,
    )


def _patterns(kind: str, rows: int, count: int, seed: int) -> Floats:
    """Return the active rows, (pattern, row), ordered so that few patterns cover the array."""
    at = np.arange(rows)
    if kind == "all rows":
        return np.ones((count, rows))
    if kind == "random half":
        half = np.broadcast_to(at < max(1, rows // 2), (count, rows))
        return stream(seed, "line plan").permuted(half, axis=1).astype(np.float64)
    width = max(1, rows // 8) if kind == "window" else 1
    first = _spread(rows - width + 1, count)[:, None]
    return ((at >= first) & (at < first + width)).astype(np.float64)


def _spread(places: int, count: int) -> NDArray[np.int64]:
    """Return `count` of the positions 0 … places−1 in van der Corput order, both ends first."""
    order = [0.0, 1.0]
    step = 0.5
    while len(order) < count:
        order += [float(x) for x in np.arange(step, 1, 2 * step)]
        step /= 2
    out: NDArray[np.int64] = np.rint(np.array(order[:count]) * (places - 1)).astype(np.int64)
    return out
