"""Pool cards: how much arrays, dies, wafers and lots differ, for each parameter.

The estimates of a parameter are taken to the scale of their intervals (linear, logarithm, logit or
artanh; linear if some estimate is at the limit of the scale), with their standard errors, and
fitted by nested random effects (`nested_components`). A kind of group is a level of the model only
if there are at least two such groups, and at least one holds two members: lots of one wafer each
cannot be distinguished from their wafers.

Which cards and which of their parameters can be pooled is in `estimates`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import Quantity, result_html
from rramfit.card.schema import ModelCard
from rramfit.card.uncertainty.scales import NORMAL, Transform
from rramfit.errors import FitError
from rramfit.fitting.pooling.estimates import check_poolable, common_estimates
from rramfit.fitting.pooling.nested_components import Component, NestedFit, Normals, fit_nested
from rramfit.fitting.pooling.nested_tree import nest
from rramfit.fitting.pooling.pooled_scale import common_scale, per_unit
from rramfit.units import format_quantity

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KINDS", "Pool", "PooledParameter", "Prediction", "die_name", "pool_cards"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

KINDS = ("lot", "wafer", "die")
"""Kinds of groups, from the coarsest to the finest."""

FALSE_ALARM = 0.01
"""Probability that a parameter without outliers has one."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Prediction of a new array.

    Attributes
    ----------
    where : str
        "new wafer", or "known wafer W3", say.
    value, low, high : float
        Median and 95 % interval of its true value.
    """

    where: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledParameter:
    """One parameter over all cards that have it.

    Attributes
    ----------
    path, unit : str
    cards : (n,) int array
        Index of each card in the pool.
    value, stderr : (n,) arrays
        Estimates.
    shrunk, shrunk_stderr : (n,) arrays
        Values given those of all arrays, drawn towards the mean of their groups, and their errors.
    p_value : (n,) array
        Two-sided p-value of each estimate, predicted from all others.
    mean : Quantity
        Mean over the population, with its error; `between` as in a pooled card.
    components : tuple of Component
        Standard deviations between arrays, dies, wafers and lots, in the unit of the parameter.
    new_array : Prediction
        Of an array of a new group at all levels.
    known : dict of str to tuple of Prediction
        By kind of group: an array of each group that was measured.
    """

    path: str
    unit: str
    cards: Ints
    value: Floats
    stderr: Floats
    shrunk: Floats
    shrunk_stderr: Floats
    p_value: Floats
    mean: Quantity
    components: tuple[Component, ...]
    new_array: Prediction
    known: dict[str, tuple[Prediction, ...]]

    @property
    def outliers(self) -> Ints:
        """Cards that the others do not predict: p < 1 % divided by the number of cards."""
        out: Ints = self.cards[self.p_value < FALSE_ALARM / self.cards.size]
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Cards of several arrays, and the parameters that at least two of them have.

    Attributes
    ----------
    cards : tuple of ModelCard
    groups : dict of str to tuple of str
        For each kind of group that the cards state: the group of each card, named with the coarser
        groups that contain it.
    parameters : dict of str to PooledParameter
    notes : tuple of str
        What the pool cannot tell, one sentence each.
    """

    cards: tuple[ModelCard, ...]
    groups: dict[str, tuple[str, ...]]
    parameters: dict[str, PooledParameter]
    notes: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per parameter: mean, components, prediction of a new array."""
        import pandas as pd

        rows = []
        for p in self.parameters.values():
            low, high = p.mean.ci95 or (math.nan, math.nan)
            row: dict[str, object] = {
                "cards": p.cards.size,
                "mean": p.mean.value,
                "mean_low": low,
                "mean_high": high,
                "unit": p.unit,
                "between": p.mean.between,
            }
            for c in p.components:
                row |= {f"std_{c.name}": c.std, f"std_{c.name}_low": c.low}
                row |= {f"std_{c.name}_high": c.high, f"p_{c.name}": c.p_value}
            row |= {"new_array_low": p.new_array.low, "new_array_high": p.new_array.high}
            row["outliers"] = " ".join(self.cards[i].name for i in p.outliers)
            rows.append(row)
        return pd.DataFrame(rows, index=pd.Index(list(self.parameters), name="parameter"))

    def arrays_frame(self) -> pd.DataFrame:
        """Return one row per parameter and card: groups, estimate, shrunk value, p-value."""
        import pandas as pd

        rows = []
        for p in self.parameters.values():
            for j, i in enumerate(p.cards):
                row: dict[str, object] = {"parameter": p.path, "card": self.cards[i].name}
                row |= {kind: names[i] for kind, names in self.groups.items()}
                row |= {"value": p.value[j], "stderr": p.stderr[j], "unit": p.unit}
                row |= {"shrunk": p.shrunk[j], "shrunk_stderr": p.shrunk_stderr[j]}
                row["p_value"] = p.p_value[j]
                rows.append(row)
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        rows = {
            path: p.mean.shown()
            | {
                "new array (95 %)": f"{format_quantity(p.new_array.low, p.unit, digits=3)} to "
                f"{format_quantity(p.new_array.high, p.unit, digits=3)}",
                "outliers": ", ".join(self.cards[i].name for i in p.outliers),
            }
            for path, p in self.parameters.items()
        }
        return result_html(f"{len(self.cards)} cards pooled", rows, self.notes)


def pool_cards(
    cards: Sequence[ModelCard], *, identity: Mapping[str, Mapping[str, str]] | None = None
) -> Pool:
    """Pool the cards of several arrays.

    Parameters
    ----------
    cards : sequence of ModelCard
        At least two, with the same levels.
    identity : mapping, optional
        Lot, wafer and die by the name of a card, where the cards do not state them.

    Raises
    ------
    FitError
        If there are fewer than two cards, two have one name, or their levels differ.
    """
    cards = tuple(cards)
    check_poolable(cards)
    groups = _groups(cards, identity or {})
    parameters = {}
    for path, entries in common_estimates(cards).items():
        index = np.array([i for i, _ in entries])
        parameters[path] = _pooled(path, index, [q for _, q in entries], groups)
    if not parameters:
        names = ", ".join(c.name for c in cards[:3])
        msg = f"The cards ({names}, …) have no estimated parameter in common."
        raise FitError(msg)
    return Pool(cards=cards, groups=groups, parameters=parameters, notes=_notes(cards, groups))


def die_name(die: str | None, x: int | None, y: int | None) -> str | None:
    """Return the name of a die, else its coordinates on the wafer; None if neither is known.

    Examples
    --------
    >>> die_name("D7", 1, 2), die_name(None, 1, 2), die_name(None, None, 2)
    ('D7', '1, 2', None)
    """
    if die is not None:
        return die
    return None if x is None or y is None else f"{x}, {y}"


def _group(card: ModelCard, kind: str) -> str | None:
    a = card.array
    return die_name(a.die, a.die_x, a.die_y) if kind == "die" else getattr(a, kind)


def _groups(
    cards: Sequence[ModelCard], identity: Mapping[str, Mapping[str, str]]
) -> dict[str, tuple[str, ...]]:
    """Name the group of each card; a card that does not state one is in a group by itself."""
    out: dict[str, tuple[str, ...]] = {}
    above = [""] * len(cards)
    for kind in KINDS:
        stated = [identity.get(c.name, {}).get(kind) or _group(c, kind) for c in cards]
        if not any(stated):
            continue
        own = [s or f"({c.name})" for s, c in zip(stated, cards, strict=True)]
        above = [f"{a}/{o}" if a else o for a, o in zip(above, own, strict=True)]
        out[kind] = tuple(above)
    return out


def _pooled(
    path: str, index: Ints, estimates: Sequence[Quantity], groups: Mapping[str, tuple[str, ...]]
) -> PooledParameter:
    scale, y, error = common_scale(estimates)
    kinds, labels = _identified({k: [names[i] for i in index] for k, names in groups.items()})
    tree = nest(index.size, [np.unique(label, return_inverse=True)[1] for label in labels])
    fit = fit_nested(tree, ("array", *reversed(kinds)), y, error)
    mean, prediction = fit.mean(), fit.new_array(len(fit.names))
    arrays = fit.arrays()
    shrunk, std = arrays.moments()
    left_out = fit.left_out()
    per = np.array([per_unit(scale, x, 2 * s) for x, s in zip(shrunk, std, strict=True)])
    return PooledParameter(
        path=path,
        unit=estimates[0].unit,
        cards=index,
        value=np.array([q.value for q in estimates]),
        stderr=np.array([q.stderr for q in estimates], dtype=np.float64),
        shrunk=np.array([scale.back(x) for x in shrunk]),
        shrunk_stderr=std * per,
        p_value=2 * np.minimum(left_out, 1 - left_out),
        mean=_mean(mean, prediction, scale, estimates[0].unit),
        components=_in_unit(fit, mean, prediction, scale),
        new_array=_prediction("new array" if not kinds else f"new {kinds[0]}", prediction, scale),
        known={
            kind: _known(kind, len(kinds) - k, fit, scale, labels[: k + 1])
            for k, kind in enumerate(kinds)
        },
    )


def _identified(groups: Mapping[str, Sequence[str]]) -> tuple[list[str], list[Sequence[str]]]:
    """Return the kinds of groups that the data tell apart, coarsest first, and their labels."""
    kinds: list[str] = []
    labels: list[Sequence[str]] = []
    finer = len(next(iter(groups.values()))) if groups else 0
    for kind, names in reversed(list(groups.items())):
        count = len(set(names))
        if 2 <= count < finer:
            kinds.insert(0, kind)
            labels.insert(0, names)
            finer = count
    return kinds, labels


def _mean(mean: Normals, prediction: Normals, scale: Transform, unit: str) -> Quantity:
    """Return the mean over the population, with `between` that gives the prediction interval.

    Between is (h² − h₀²)^½/1.96, with h the half width of the prediction interval and h₀ that of
    the interval of the mean: a new array of the population is drawn about a drawn mean.
    """
    middle = float(mean.quantile(0.5))
    low, high = (float(x) for x in mean.interval())
    first, last = (float(x[0]) for x in prediction.interval())
    half, whole = (high - low) / 2, (last - first) / 2
    value = scale.back(middle)
    per = per_unit(scale, middle, whole)
    between = math.sqrt(max(whole**2 - half**2, 0.0)) / NORMAL
    ci95 = (min(scale.back(low), value), max(scale.back(high), value))
    estimate = Quantity.within(value, half / NORMAL * per, unit, ci95)
    return estimate.model_copy(update={"between": between * per})


def _in_unit(
    fit: NestedFit, mean: Normals, prediction: Normals, scale: Transform
) -> tuple[Component, ...]:
    low, high = (float(x[0]) for x in prediction.interval())
    per = per_unit(scale, float(mean.quantile(0.5)), (high - low) / 2)
    return tuple(
        Component(c.name, c.std * per, c.low * per, c.high * per, c.p_value, c.groups)
        for c in fit.components
    )


def _known(
    kind: str, level: int, fit: NestedFit, scale: Transform, labels: Sequence[Sequence[str]]
) -> tuple[Prediction, ...]:
    """Predict an array of each group of a kind; `labels` are those of the coarser kinds, too."""
    found = fit.new_array(level)
    middle = found.quantile(0.5)
    low, high = found.interval()
    return tuple(
        Prediction(f"{kind} {name}", *(scale.back(float(x[g])) for x in (middle, low, high)))
        for g, (*_, name) in enumerate(sorted(set(zip(*labels, strict=True))))
    )


def _prediction(where: str, found: Normals, scale: Transform) -> Prediction:
    low, high = found.interval()
    ends = (found.quantile(0.5), low, high)
    return Prediction(where, *(scale.back(float(x[0])) for x in ends))


def _notes(cards: Sequence[ModelCard], groups: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    out = []
    kinds, labels = _identified(groups)
    for kind, names in zip(kinds, labels, strict=True):
        count = len(set(names))
        if count < 5:
            out.append(
                f"There are {count} {kind}s: the interval of the standard deviation between "
                f"{kind}s also follows from the prior (half-Cauchy)."
            )
    merged = [kind for kind in groups if kind not in kinds]
    if merged:
        out.append(
            f"The variation between {' and between '.join(k + 's' for k in merged)} cannot be "
            "distinguished from that of other groups, because each has one member or there is "
            "only one."
        )
    if not groups:
        out.append(
            f"The {len(cards)} cards state no lot, wafer or die: all variation is between arrays."
        )
    return tuple(out)
