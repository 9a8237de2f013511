"""The levels of a card at a stated time, temperature and number of reads.

`card.levels_at(time=…, temperature=…, reads=…)` returns, level by level, the distribution of what
is read: mean, standard deviation and family, with intervals, and whether it is beyond what was
measured. With a change of the mean Δ and an added variance v (`rramfit.card.conditions.change_at`),

    linear domain   mean₀ + Δ,      std² = std₀² + v
    log domain      mean₀·e^Δ,      std² = s²·e^2Δ + max(v − s²·(1 − e^Δ)², 0) + read²

with s² = std₀² − read². The family stays that of the level, moved to the new mean and standard
deviation. A mean never falls below a hundredth of mean₀, as in drawn chips; a level that reaches it
has lost its spread as well.

Reads add rate·n to the mean (`rramfit.card.conditions.reads_at`), and leave std as it is.

Intervals come from draws within the errors of the law and of the level after programming.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rramfit.card.conditions.card_parts import CardParts, LevelPart
from rramfit.card.conditions.change_at import LOWEST_MEAN, ChangeAt, change_at, read_noise_std
from rramfit.card.conditions.condition_findings import condition_findings
from rramfit.card.conditions.draws import NORMAL, changed, draw_condition, draw_start
from rramfit.card.conditions.moments import with_moments
from rramfit.card.conditions.reads_at import disturb_draws, disturb_shift
from rramfit.card.families import family
from rramfit.card.part import Part
from rramfit.card.quantity import Quantity, result_html
from rramfit.errors import RramfitError
from rramfit.streams import stream
from rramfit.units import format_number, format_quantity

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AtConditions", "LevelAt", "LevelsAt", "levels_at"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelAt:
    """Distribution of the readings of one level at a condition.

    Attributes
    ----------
    index : int
    name : str
    mean, std : Quantity
        Read noise included [S].
    family : str
        Name of the family, for `rramfit.card.family`.
    parameters : mapping of str to float
        Of the family, with this mean and std.
    extrapolated : bool
        Whether the condition is beyond what was measured of this level.
    """

    index: int
    name: str
    mean: Quantity
    std: Quantity
    family: str
    parameters: Mapping[str, float]
    extrapolated: bool

    def cdf(self, g: ArrayLike) -> Floats:
        """Return the share of readings below `g` [S]."""
        return family(self.family).cdf(g, self.parameters)

    def sf(self, g: ArrayLike) -> Floats:
        """Return the share of readings above `g` [S], accurate in the upper tail."""
        return family(self.family).sf(g, self.parameters)

    def ppf(self, probability: ArrayLike) -> Floats:
        """Return quantiles [S]."""
        return family(self.family).ppf(probability, self.parameters)

    def moved(self, mean: float, std: float) -> LevelAt:
        """Return the same level with another mean and std, such as one of `LevelsAt.draws`."""
        name, parameters = _moved(self.family, self.parameters, mean, std)
        return dataclasses.replace(
            self,
            mean=Quantity.given(mean, "S"),
            std=Quantity.given(std, "S"),
            family=name,
            parameters=parameters,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelsAt:
    """All levels of a card at one condition.

    Attributes
    ----------
    time : float
        [s] since programming.
    temperature : float, optional
        [K]; None if the card does not state one and none was asked for.
    reads : int
        Reads since programming.
    levels : tuple of LevelAt
        In the order of the card.
    findings : tuple of str
        How far the numbers are beyond the measurement, and what they do not contain: full sentences
        with a remedy.
    """

    time: float
    temperature: float | None
    reads: int
    levels: tuple[LevelAt, ...]
    findings: tuple[str, ...]
    _means: Floats  # (draw, level)
    _stds: Floats

    def __post_init__(self) -> None:
        for a in (self._means, self._stds):
            a.flags.writeable = False

    @property
    def extrapolated(self) -> bool:
        """Whether any level is beyond what was measured."""
        return any(level.extrapolated for level in self.levels)

    def draws(self, n: int = 1000) -> tuple[Floats, Floats]:
        """Return means and standard deviations within their errors, each (draw, level) [S].

        Errors that the levels share (energy, exponent of time) are shared in every draw, so that
        intervals of what is computed from several levels, such as a bit error rate, are quantiles
        over the draws. At most 4000, always the same ones.
        """
        return self._means[:n], self._stds[:n]

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the draws, for JSON."""
        levels = [
            {
                "level": x.index,
                "name": x.name,
                "mean": x.mean.model_dump(exclude_none=True),
                "std": x.std.model_dump(exclude_none=True),
                "family": x.family,
                "parameters": dict(x.parameters),
                "extrapolated": x.extrapolated,
            }
            for x in self.levels
        ]
        return {
            "time": self.time,
            "temperature": self.temperature,
            "reads": self.reads,
            "extrapolated": self.extrapolated,
            "levels": levels,
            "findings": list(self.findings),
        }

    def to_frame(self) -> pd.DataFrame:
        """Return one row per level: mean and std with their limits [S], family, extrapolated."""
        import pandas as pd

        rows = []
        for x in self.levels:
            row: dict[str, object] = {"level": x.index, "name": x.name}
            for name, q in (("mean", x.mean), ("std", x.std)):
                low, high = q.ci95 or (None, None)
                row |= {name: q.value, f"{name}_low": low, f"{name}_high": high}
            rows.append(row | {"family": x.family, "extrapolated": x.extrapolated})
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        rows = {
            x.name or str(x.index): {
                "mean (95 % interval)": str(x.mean),
                "std (95 % interval)": str(x.std),
                "family": x.family,
                "extrapolated": "yes" if x.extrapolated else "no",
            }
            for x in self.levels
        }
        kelvin = "" if self.temperature is None else f" at {format_quantity(self.temperature, 'K')}"
        title = f"Levels {format_quantity(self.time, 's')} after programming{kelvin}"
        return result_html(title, rows, self.findings)


class AtConditions(Part):
    """What a card says of its levels at other conditions."""

    def levels_at(
        self, *, time: float = 0.0, temperature: float | None = None, reads: int = 0
    ) -> LevelsAt:
        """Return the distributions of the levels at a condition; see `levels_at`."""
        return levels_at(cast("CardParts", self), time=time, temperature=temperature, reads=reads)


def levels_at(
    card: CardParts, *, time: float = 0.0, temperature: float | None = None, reads: int = 0
) -> LevelsAt:
    """Return the distributions of a card's levels at a condition.

    Parameters
    ----------
    card : CardParts
    time : float
        Since programming [s]; 0 is right after it.
    temperature : float, optional
        [K]; that of the (first) retention measurement by default.
    reads : int
        Reads since programming.

    Returns
    -------
    LevelsAt
        Marked as extrapolated past the longest time, outside the temperatures or past the number of
        reads that were measured.

    Raises
    ------
    RramfitError
        If time, temperature or reads are not numbers of their range, if the card has no levels or
        a level has neither distribution nor mean and std, or if a temperature is asked for that
        differs from the only one that was measured, so that no activation energy is known.

    Examples
    --------
    >>> from rramfit.measurement.virtual.cards import virtual_card
    >>> card = virtual_card("two", mean=[2e-5, 8e-5], spread=0.1)
    >>> now, later = card.levels_at(), card.levels_at(time=3600.0)
    >>> now.extrapolated, later.extrapolated, later.levels[0].mean.value
    (False, True, 2e-05)
    """
    _check(time, reads)
    if not card.levels:
        msg = (
            f"card {card.name} has no levels, so no distribution can be moved. Characterize a file "
            "with programming sweeps"
        )
        raise RramfitError(msg)
    starts = [_start(card, level) for level in card.levels]
    read = np.array(
        [
            read_noise_std(card, level.index, start.mean)
            for level, start in zip(card.levels, starts, strict=True)
        ]
    )
    mean0, std0 = (np.array([getattr(s, name) for s in starts]) for name in ("mean", "std"))
    at = temperature if time > 0 or card.temperature else None
    change = change_at(card, at, read=read, start=mean0)
    findings, beyond = condition_findings(card, change, time=time, reads=reads)
    mean, std = _moments(change, time, mean0=mean0, std0=std0)
    rng = stream(0, "levels at a condition")
    drawn0 = [
        draw_start(level, s.mean, s.std, rng) for level, s in zip(card.levels, starts, strict=True)
    ]
    means, stds = draw_condition(change, time, np.stack(drawn0, axis=-1), rng)
    if reads > 0:
        z = stream(0, "levels after reads").standard_normal(means.shape)
        means = _at_least(means + disturb_draws(card, reads, z), mean0)
        mean = _at_least(mean + disturb_shift(card, reads), mean0)
    if np.any(lost := (mean <= LOWEST_MEAN * 1.001 * mean0) & (mean0 > 0)):
        names = ", ".join(card.levels[int(k)].name for k in np.flatnonzero(lost))
        findings.append(
            f"At {format_number(time, 3)} s and {reads} reads nearly all conductance of {names} is "
            "lost, and the law ends there. Refresh the cells earlier."
        )
    same = (mean == mean0) & (means == np.stack(drawn0, axis=-1)[0]).all(axis=0)
    levels = []
    for k, (level, start) in enumerate(zip(card.levels, starts, strict=True)):
        name, parameters = start.family, start.parameters
        if (mean[k], std[k]) != (start.mean, start.std):
            name, parameters = _moved(name, parameters, float(mean[k]), float(std[k]))
        levels.append(
            LevelAt(
                index=level.index,
                name=level.name,
                mean=_within(float(mean[k]), means[:, k], level.mean, same=same[k]),
                std=_within(float(std[k]), stds[:, k], level.std, same=std[k] == start.std),
                family=name,
                parameters=parameters,
                extrapolated=beyond or (time > 0 and not bool(change.known[k])),
            )
        )
    return LevelsAt(
        time=float(time),
        temperature=change.temperature if temperature is None else float(temperature),
        reads=int(reads),
        levels=tuple(levels),
        findings=tuple(findings),
        _means=means,
        _stds=stds,
    )


@dataclass(frozen=True, slots=True)
class _Start:
    """Distribution of a level after programming."""

    mean: float
    std: float
    family: str
    parameters: Mapping[str, float]


def _check(time: float, reads: int) -> None:
    if not (math.isfinite(time) and time >= 0):
        msg = f"time: found {time} s; expected 0 s or more since programming. Correct the time"
        raise RramfitError(msg)
    if not (math.isfinite(reads) and reads >= 0 and int(reads) == reads):
        msg = f"reads: found {reads}; expected a whole number, 0 or more. Correct the number"
        raise RramfitError(msg)


def _start(card: CardParts, level: LevelPart) -> _Start:
    """Return the distribution of a level after programming; its mean and std as the card says."""
    d = level.distribution
    if d is not None:
        parameters = {n: q.value for n, q in d.parameters.items()}
        mean, std = family(d.family).moments(parameters)
        mean = level.mean.value if level.mean else mean
        std = level.std.value if level.std else std
        if math.isfinite(mean) and math.isfinite(std):
            return _Start(mean, std, d.family, parameters)
    if level.mean is not None and level.std is not None:
        mean, std = level.mean.value, level.std.value
        return _Start(mean, std, "normal", {"loc": mean, "scale": std})
    msg = (
        f"card {card.name}: levels[{level.index}] has neither a distribution nor mean and std. "
        "Characterize a file with programming sweeps of this level"
    )
    raise RramfitError(msg)


def _moved(
    name: str, parameters: Mapping[str, float], mean: float, std: float
) -> tuple[str, Mapping[str, float]]:
    """Return a distribution of the same family and shape; normal where there is none."""
    found = with_moments(name, parameters, mean, std)
    if found is None:
        return "normal", {"loc": mean, "scale": std}
    return name, found


def _moments(
    change: ChangeAt, time: float, *, mean0: Floats, std0: Floats
) -> tuple[Floats, Floats]:
    """Return mean and std of every level [S]."""
    if time <= 0:
        return mean0.copy(), std0.copy()
    return changed(
        mean0,
        std0,
        log=change.log_mean(time),
        linear=change.mean(time),
        variance=change.variance(time),
        read=change.read,
    )


def _at_least(mean: Floats, mean0: Floats) -> Floats:
    """Return means that lose no more than all but a hundredth."""
    lowest = LOWEST_MEAN * mean0
    return np.where((mean0 > 0) & (mean < lowest), lowest, mean)


def _within(value: float, draws: Floats, q: Quantity | None, *, same: bool) -> Quantity:
    """Return a value with the quantiles of its draws; as on the card where nothing changed."""
    if same:
        return q if q is not None else Quantity.given(value, "S")
    low, high = (float(x) for x in np.quantile(draws, [0.025, 0.975]))
    low, high = min(low, value), max(high, value)
    if low == high:
        return Quantity.given(value, "S")
    return Quantity.within(value, (high - low) / (2 * NORMAL), "S", (low, high))
