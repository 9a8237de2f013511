"""Changes of several bakes as data of a law, and the forms that the law may have.

The step from programming to the reference time is one of three:

    constant   the same in all bakes
    power      a constant, and the part of the power of time before the reference, f·rate/m
    free       any, in every bake; projected out, so that only later changes count
    whole      all there is: f times a step, where bakes are read once after programming
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rramfit.card.blocks.temperature_law import Accelerates, acceleration, time_scale
from rramfit.fitting.time.bakes.changes import BakeChanges

__all__ = ["ENERGIES", "EXPONENTS", "SAFE", "Kind", "LawData"]

Floats = NDArray[np.float64]

ENERGIES = (-2.0, 6.0)
"""[eV] within which an activation energy is looked for."""

EXPONENTS = (-0.6, 1.5)
"""Within which an exponent of time is looked for."""

SAFE = 60.0
"""|ln f| is no larger."""

_SLOPE_STEP = 1e-4  # of the exponent


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Form of the law: what temperature accelerates, and the step before the reference time."""

    accelerates: Accelerates
    steps: Literal["constant", "power", "free", "whole"] = "constant"
    free_exponent: bool = False

    @property
    def parameters(self) -> int:
        """Number of parameters of a level in θ: step and rate, or only the rate."""
        return 1 if self.steps in ("free", "whole") else 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Set:
    """Changes of one level in one bake, and the inverse of their covariance."""

    level: int
    bake: int
    z: Floats
    weight: Floats  # (time, time)
    time: Floats
    first_time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LawData:
    """Changes of one kind in all bakes."""

    sets: tuple[_Set, ...]
    temperature: Floats  # [K] (bake,)
    reference_temperature: float
    reference_time: float
    n_levels: int
    _sums: dict[tuple[float, bool], tuple[Floats, Floats, Floats]] = field(
        default_factory=dict, repr=False
    )

    @classmethod
    def of(
        cls,
        bakes: Sequence[BakeChanges],
        kind: str,
        *,
        reference_temperature: float,
        reference_time: float,
    ) -> LawData:
        """Collect the changes of a kind: "mean", "log", "variance" or "excess"."""
        sets = []
        for b, bake in enumerate(bakes):
            changes = getattr(bake, kind)
            for k, (z, covariance) in enumerate(
                zip(changes.value, changes.covariance, strict=True)
            ):
                seen = np.isfinite(z) & np.isfinite(np.diagonal(covariance))
                seen &= np.nan_to_num(np.diagonal(covariance)) > 0
                if not seen.any():
                    continue
                c = covariance[np.ix_(seen, seen)]
                c = c + 1e-9 * np.trace(c) / len(c) * np.eye(len(c))
                weight = np.linalg.inv(c)
                if kind in ("variance", "excess") and bake.first_time > 0 and not bake.stated:
                    ones = weight.sum(axis=1)
                    weight = weight - np.outer(ones, ones) / ones.sum()
                sets.append(
                    _Set(
                        level=k,
                        bake=b,
                        z=z[seen],
                        weight=weight,
                        time=bake.time[seen],
                        first_time=bake.first_time,
                    )
                )
        return cls(
            sets=tuple(sets),
            temperature=np.array([bake.temperature for bake in bakes]),
            reference_temperature=reference_temperature,
            reference_time=reference_time,
            n_levels=bakes[0].mean.value.shape[0],
        )

    def log_factors(self, energy: float | Floats) -> Floats:
        """Return ln f of every bake, (…, bake)."""
        per_ev = [acceleration(1.0, t, self.reference_temperature) for t in self.temperature]
        return np.asarray(np.multiply.outer(np.asarray(energy, dtype=np.float64), per_ev))

    def basis(self, s: _Set, exponent: float) -> Floats:
        """Return the constant, x_m(t) and dx/dm of a set, (time, 3)."""
        moments = [exponent, exponent - _SLOPE_STEP, exponent + _SLOPE_STEP]
        x, low, high = (time_scale(s.time, self.reference_time, m) for m in moments)
        slope = (high - low) / (2 * _SLOPE_STEP)
        if s.first_time == 0:
            return np.stack([np.ones_like(x), x, slope], axis=1)
        x0, low0, high0 = (float(time_scale(s.first_time, self.reference_time, m)) for m in moments)
        slope = slope - (high0 - low0) / (2 * _SLOPE_STEP)
        return np.stack([np.zeros_like(x), x - x0, slope], axis=1)

    def sums(self, exponent: float, kind: Kind) -> tuple[Floats, Floats, Floats]:
        """Return B'WB and B'Wz by level and bake, and Σ z'Wz by level; B the basis."""
        key = exponent, kind.steps == "free"
        if key not in self._sums:
            shape = (self.n_levels, len(self.temperature))
            P, q, total = np.zeros((*shape, 3, 3)), np.zeros((*shape, 3)), np.zeros(shape[0])
            for s in self.sets:
                B, W = self.basis(s, exponent), s.weight
                if key[1] and s.first_time == 0:
                    ones = W.sum(axis=1)
                    W = W - np.outer(ones, ones) / ones.sum()
                    B = B * [0.0, 1.0, 1.0]
                P[s.level, s.bake] = B.T @ W @ B
                q[s.level, s.bake] = B.T @ W @ s.z
                total[s.level] += float(s.z @ W @ s.z)
            self._sums[key] = P, q, total
        return self._sums[key]
