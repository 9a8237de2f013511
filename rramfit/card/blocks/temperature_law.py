"""The change of a level with time and temperature, as a function of a law's parameters.

With u = 1/T − 1/T_ref, x_m(t) = ((t/t_ref)^m − 1)/m, which is ln(t/t_ref) for m = 0, and
f = exp(−E·u/k), a law of one level is

    rate    c(t, T) = step + step_rate·f + rate·f·x_m(t)       the rate of change is activated
    time    c(t, T) = step + rate·x_m(t·f)                     time itself is activated

From t_ref on; before it, states are constant. For m > 0 a rate that is activated by E is a time
that is activated by E/m, and the step that goes with f is that part of the change before t_ref.
c is a change of the mean [S] in the linear domain, of its logarithm in the log domain, and of the
variance [S²].
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "BOLTZMANN",
    "Accelerates",
    "acceleration",
    "equal_change_time",
    "law_change",
    "time_scale",
]

Floats = NDArray[np.float64]
Accelerates = Literal["rate", "time"]

BOLTZMANN = 8.617333262e-5
"""[eV/K]"""

_FLAT = 1e-6  # exponents below it are 0
_MOST = 100.0  # largest exponent of e


def acceleration(energy: float, temperature: float, reference: float) -> float:
    """Return ln f: how much faster than at the reference, as a logarithm (Arrhenius).

    Parameters
    ----------
    energy : float
        [eV]
    temperature, reference : float
        [K]

    Examples
    --------
    >>> round(math.exp(acceleration(1.1, 398.15, 358.15)), 1)
    35.9
    """
    return energy / BOLTZMANN * (1 / reference - 1 / temperature)


def time_scale(time: ArrayLike, reference: float, exponent: float) -> Floats:
    """Return x_m(t), 0 at the reference time (Box and Cox's power of t).

    Examples
    --------
    >>> time_scale([1.0, 100.0], 1.0, 0.5).round(3).tolist()
    [0.0, 18.0]
    """
    return _power(np.log(np.asarray(time, dtype=np.float64) / reference), exponent)


def law_change(
    time: float,
    *,
    step: ArrayLike,
    step_rate: ArrayLike,
    rate: ArrayLike,
    log_factor: ArrayLike,
    exponent: ArrayLike,
    reference_time: float,
    accelerates: Accelerates,
) -> Floats:
    """Return c(t, T) at one time from the reference time on; all parameters broadcast.

    Parameters
    ----------
    time, reference_time : float
        [s]
    step, step_rate, rate : array
        Parameters of levels, or of draws of them.
    log_factor : array
        ln f of the temperature.
    exponent : array
        m
    accelerates : {"rate", "time"}

    Examples
    --------
    >>> law = dict(step=0.0, step_rate=0.0, rate=-1.0, exponent=0.0, reference_time=1.0)
    >>> float(law_change(math.e, log_factor=2.0, accelerates="time", **law))
    -3.0
    """
    ln_f = np.clip(log_factor, -_MOST, _MOST)
    x, f = math.log(time / reference_time), np.exp(ln_f)
    if accelerates == "time":
        later = np.asarray(rate, dtype=np.float64) * _power(x + ln_f, exponent)
        return np.asarray(np.asarray(step, dtype=np.float64) + later)
    with_f = np.asarray(step_rate, dtype=np.float64) + np.asarray(rate) * _power(x, exponent)
    return np.asarray(np.asarray(step, dtype=np.float64) + f * with_f)


def equal_change_time(
    time: float,
    *,
    log_factor: ArrayLike,
    exponent: ArrayLike,
    reference_time: float,
    accelerates: Accelerates,
    step_per_rate: ArrayLike = 0.0,
) -> Floats:
    """Return the time at the reference temperature that changes a level as `time` does at another.

    Parameters
    ----------
    time : float
        [s] at the other temperature, whose ln f is `log_factor`.
    step_per_rate : array
        step_rate/rate of the level.

    Returns
    -------
    array
        [s]; infinite where the change saturates before it is reached.
    """
    ln_f = np.clip(log_factor, -_MOST, _MOST)
    x = math.log(time / reference_time)
    if accelerates == "time":
        return np.asarray(reference_time * np.exp(x + ln_f), dtype=np.float64)
    m, s, f = np.asarray(exponent, dtype=np.float64), np.asarray(step_per_rate), np.exp(ln_f)
    wanted = (s + _power(x, m)) * f - s
    flat = np.abs(m) < _FLAT
    safe = np.where(flat, 1.0, m)
    inside = np.maximum(1 + safe * wanted, 0.0)
    with np.errstate(divide="ignore", over="ignore"):
        y = np.where(flat, wanted, np.log(inside) / safe)
        return np.asarray(reference_time * np.exp(y), dtype=np.float64)


def _power(x: ArrayLike, exponent: ArrayLike) -> Floats:
    """Return (e^(m·x) − 1)/m, x for m = 0."""
    m = np.asarray(exponent, dtype=np.float64)
    flat = np.abs(m) < _FLAT
    safe = np.where(flat, 1.0, m)
    return np.where(flat, x, np.expm1(np.clip(safe * x, -_MOST, _MOST)) / safe)
