"""Variance components of cells read in several sessions, with generalized intervals.

    y = mean + cell_c + session_s + interaction_cs + error

Cells with readings in every session enter with their mean in each (unweighted-means analysis).
With S sessions, C cells and n the harmonic mean of the number of readings behind a mean, the mean
squares of the S × C table have the expectations

    sessions      σ_e²/n + σ_sc² + C·σ_s²      S − 1 degrees of freedom
    interaction   σ_e²/n + σ_sc²               (S − 1)(C − 1)
    cells         σ_e²/n + σ_sc² + S·σ_c²      C − 1

and σ_e² is the pooled variance of readings of one cell in one session (NIST/SEMATECH e-Handbook of
Statistical Methods, section 2.4, and Montgomery, Design and Analysis of Experiments, chapter 13).

Intervals are generalized confidence intervals (Weerahandi, J. Am. Stat. Assoc. 88 (1993) 899): the
mean square of sessions is MS·(S − 1)/χ²_{S−1}, which is what few sessions leave uncertain. The
others have the χ² distribution with their standard error over cells, which differ in their noise,
or with that of equal cells if it is larger.
Negative components count as 0. The quantiles are over draws of the stream `gauge`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.quantity import Quantity
from rramfit.streams import stream

__all__ = ["FEWEST_CELLS", "Components", "variance_components"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FEWEST_CELLS = 5
DRAWS = 20_000
_TWO_SIDED = 2 * 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Components of one level, as standard deviations [S].

    Attributes
    ----------
    n_cells : int
    mean : Quantity
        With the error of few sessions.
    of : dict of str to Quantity
        `repeatability` (where a cell has several readings in a session), `session`, `interaction`,
        `reproducibility`, `gauge`, `cells`, and the variance's `share`.
    p_value : float
        Of the F test against no sessions.
    """

    n_cells: int
    mean: Quantity
    of: Mapping[str, Quantity]
    p_value: float


def variance_components(
    count: Integers, mean: Floats, square: Floats, *, seed: int, name: str
) -> Components | None:
    """Estimate the components of one level.

    Parameters
    ----------
    count, mean, square : (session, cell) array
        Number of readings, their mean [S] and sum of squared deviations [S²].
    seed : int
    name : str
        Of the level, for its random stream.

    Returns
    -------
    Components or None
        None with fewer than 5 cells that were read in every session.
    """
    full = (count > 0).all(axis=0)
    sessions, cells = len(count), int(full.sum())
    if sessions < 2 or cells < FEWEST_CELLS:
        return None
    m, n, ss = mean[:, full], count[:, full], square[:, full]
    by_session, by_cell, centre = m.mean(axis=1), m.mean(axis=0), float(m.mean())
    r = m - by_session[:, None] - by_cell + centre
    ms_session = cells * float(((by_session - centre) ** 2).sum()) / (sessions - 1)
    own = (r**2).sum(axis=0) / (sessions - 1) * cells / (cells - 1)
    ms_both, error_both = _mean_square(own, (sessions - 1) * (cells - 1))
    apart = sessions * (by_cell - centre) ** 2 * cells / (cells - 1)
    ms_cell, error_cell = _mean_square(apart, cells - 1)
    harmonic = float(1 / (1 / n).mean())
    extra = float((n - 1).sum())
    ms_error = error_error = None
    if extra >= FEWEST_CELLS:
        ms_error = float(ss.sum()) / extra
        psi = (ss - ms_error * (n - 1)).sum(axis=0) / extra
        error_error = math.sqrt(float((psi**2).sum()) * cells / (cells - 1))
        error_error = max(error_error, ms_error * math.sqrt(2 / extra))
    draw = stream(seed, f"gauge/{name}")
    chi2 = draw.chisquare(sessions - 1, DRAWS)
    drawn = _components(
        session=ms_session * (sessions - 1) / chi2,
        both=_drawn(ms_both, error_both, draw),
        cell=_drawn(ms_cell, error_cell, draw),
        error=None
        if ms_error is None or error_error is None
        else _drawn(ms_error, error_error, draw),
        harmonic=harmonic,
        size=(sessions, cells),
    )
    values = _components(
        session=np.array([ms_session]),
        both=np.array([ms_both]),
        cell=np.array([ms_cell]),
        error=None if ms_error is None else np.array([ms_error]),
        harmonic=harmonic,
        size=(sessions, cells),
    )
    df = (sessions - 1, (sessions - 1) * (cells - 1))
    error_mean = math.sqrt(ms_session / (sessions * cells))
    return Components(
        n_cells=cells,
        mean=Quantity.estimated(centre, error_mean, "S", df=sessions - 1),
        of={
            key: _quantity(float(value[0]), drawn[key], "1" if key == "share" else "S")
            for key, value in values.items()
        },
        p_value=float(special.fdtrc(*df, ms_session / ms_both)) if ms_both > 0 else 1.0,
    )


def _components(
    *,
    session: Floats,
    both: Floats,
    cell: Floats,
    error: Floats | None,
    harmonic: float,
    size: tuple[int, int],
) -> dict[str, Floats]:
    """Return the standard deviations that belong to mean squares, and the gauge's share."""
    sessions, cells = size
    of_session = np.maximum(session - both, 0.0) / cells
    of_cell = np.maximum(cell - both, 0.0) / sessions
    noise = np.zeros_like(both) if error is None else error
    interaction = np.maximum(both - noise / harmonic, 0.0)
    gauge = of_session + interaction + noise
    total = gauge + of_cell
    out = {"repeatability": np.sqrt(noise)} if error is not None else {}
    return out | {
        "session": np.sqrt(of_session),
        "interaction": np.sqrt(interaction),
        "reproducibility": np.sqrt(of_session + interaction),
        "gauge": np.sqrt(gauge),
        "cells": np.sqrt(of_cell),
        "share": np.divide(gauge, total, out=np.zeros_like(total), where=total > 0),
    }


def _drawn(mean_square: float, error: float, draw: np.random.Generator) -> Floats:
    """Draw a mean square whose χ² distribution has this standard error."""
    if not (mean_square > 0 and error > 0):
        return np.full(DRAWS, mean_square)
    df = 2 * (mean_square / error) ** 2
    return np.asarray(mean_square * df / draw.chisquare(df, DRAWS))


def _quantity(value: float, drawn: Floats, unit: str) -> Quantity:
    low, high = (float(q) for q in np.quantile(drawn, (0.025, 0.975)))
    ends = (min(low, value), max(high, value))
    return Quantity.within(value, (ends[1] - ends[0]) / _TWO_SIDED, unit, ends)


def _mean_square(x: Floats, df: int) -> tuple[float, float]:
    """Return the mean over cells, and its standard error; at least that of normal data."""
    mean = float(x.mean())
    return mean, max(float(x.std(ddof=1)) / math.sqrt(len(x)), mean * math.sqrt(2 / df))
