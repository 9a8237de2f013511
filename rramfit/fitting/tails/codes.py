"""The error-correcting code that a raw bit error rate needs.

A word of n bits whose code corrects t errors is lost with the binomial probability of more than t
errors,

    P(lost) = Σ_{i>t} C(n, i)·p^i·(1 − p)^(n−i),

summed as logarithms. The uncorrectable bit error rate is P(lost) per data bit, as JESD218 counts
it. Bits err independently of each other; cells of one line that fail together need interleaving.

A Hamming code with an added parity bit (SEC-DED) corrects one error with r + 1 check bits, r the
smallest with 2^r ≥ k + r + 1. A shortened BCH code over GF(2^m) corrects t errors with m·t check
bits, m the smallest with 2^m − 1 ≥ k + m·t (MacWilliams and Sloane, "The Theory of Error-Correcting
Codes", North-Holland 1977, chapter 9).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

__all__ = ["TARGET", "Code", "log_lost", "required_code"]

TARGET = 1e-15
"""Uncorrectable bit error rate that codes are chosen for."""

_MOST_CHECK_BITS = 1.0  # of the data bits: a code of more is no remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One code.

    Attributes
    ----------
    kind : {"none", "SEC-DED", "BCH"}
    data_bits, check_bits : int
    corrects : int
        Number of errors in a word that are corrected.
    """

    kind: Literal["none", "SEC-DED", "BCH"]
    data_bits: int
    check_bits: int
    corrects: int

    @property
    def bits(self) -> int:
        """Length of a word."""
        return self.data_bits + self.check_bits

    def log_uncorrectable(self, rate: float) -> float:
        """Return ln of the uncorrectable bit error rate at a raw bit error rate."""
        return log_lost(self.bits, self.corrects, rate) - math.log(self.data_bits)


def log_lost(bits: int, corrects: int, rate: float) -> float:
    """Return ln P(more than `corrects` of `bits` bits err), −inf at a rate of 0.

    Examples
    --------
    >>> round(log_lost(72, 1, 1e-6) / math.log(10), 2)
    -8.59
    """
    if rate <= 0 or corrects >= bits:
        return -math.inf
    if rate >= 1:
        return 0.0
    i = np.arange(corrects + 1, bits + 1)
    ways = special.gammaln(bits + 1) - special.gammaln(i + 1) - special.gammaln(bits - i + 1)
    return min(
        float(special.logsumexp(ways + i * math.log(rate) + (bits - i) * math.log1p(-rate))), 0.0
    )


def required_code(rate: float, data_bits: int, *, target: float = TARGET) -> Code | None:
    """Return the shortest code that meets a target; None if none with rate ½ or above does.

    Parameters
    ----------
    rate : float
        Raw bit error rate.
    data_bits : int
        Data bits of a word.
    target : float
        Wanted uncorrectable bit error rate.

    Raises
    ------
    ValueError
        If rate, data bits or target are out of range.
    """
    if not (0 <= rate <= 1 and data_bits >= 1 and 0 < target < 1):
        msg = (
            f"rate {rate:g}, {data_bits} data bits and target {target:g} are not a share, a "
            "positive number and a share between 0 and 1; correct them"
        )
        raise ValueError(msg)
    least = math.log(target)
    for code in (
        Code(kind="none", data_bits=data_bits, check_bits=0, corrects=0),
        _hamming(data_bits),
    ):
        if code.log_uncorrectable(rate) <= least:
            return code
    low, high = 2, _most_corrected(data_bits)
    if high < low or _bch(data_bits, high).log_uncorrectable(rate) > least:
        return None
    while low < high:  # the uncorrectable rate falls with every error that is corrected
        middle = (low + high) // 2
        met = _bch(data_bits, middle).log_uncorrectable(rate) <= least
        low, high = (low, middle) if met else (middle + 1, high)
    return _bch(data_bits, low)


def _hamming(data_bits: int) -> Code:
    r = 2
    while 2**r < data_bits + r + 1:
        r += 1
    return Code(kind="SEC-DED", data_bits=data_bits, check_bits=r + 1, corrects=1)


def _bch(data_bits: int, corrects: int) -> Code:
    m = 3
    while 2**m - 1 < data_bits + m * corrects:
        m += 1
    return Code(kind="BCH", data_bits=data_bits, check_bits=m * corrects, corrects=corrects)


def _most_corrected(data_bits: int) -> int:
    t = 1
    while _bch(data_bits, t + 1).check_bits <= _MOST_CHECK_BITS * data_bits:
        t += 1
    return t
