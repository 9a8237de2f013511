"""What of a card a target cannot express, each with its size in that card.

Properties are named as the factors of the sampler (`rramfit.array.devices.FACTORS`), with a few
more for what is around the cells. An exporter lists those that its files express; for the others
that the card has, `limits` returns a sentence and a size. Properties that drawn chips of rramfit
do not have either are always among them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from rramfit.errors import sentence
from rramfit.export.contract import Limit
from rramfit.units import format_quantity

if TYPE_CHECKING:
    from rramfit.card.quantity import Quantity
    from rramfit.card.schema import ModelCard

__all__ = ["PROPERTIES", "limits", "worst_normal_distance"]


def limits(card: ModelCard, *, expressed: Collection[str]) -> tuple[Limit, ...]:
    """Return what of a card a target that expresses some properties does not have.

    Parameters
    ----------
    card : ModelCard
    expressed : collection of str
        Names in `PROPERTIES`.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    from rramfit.array.devices.card_use import left_out

    unknown = set(expressed) - set(PROPERTIES)
    if unknown:
        msg = f"unknown properties {sorted(unknown)}; expected some of {', '.join(PROPERTIES)}"
        raise ValueError(msg)
    covered = {*expressed, *(() if "wires" in expressed else ("ends", "inactive_rows"))}
    found = []
    for name, (what, size_of) in PROPERTIES.items():
        size = None if name in covered else size_of(card)
        if size is not None:
            found.append(Limit(what=what, size=size))
    further = (text.partition(": ") for text in left_out(card))
    return (*found, *(Limit(what=sentence(a), size=b or "not quantified") for a, _, b in further))


def worst_normal_distance(card: ModelCard) -> tuple[float, str, str]:
    """Return the largest distance of a level from a normal distribution of its mean and std.

    Returns
    -------
    distance : float
        Largest difference of the two distribution functions, over all levels; 0 without levels.
    level, family : str
        The level's name, and its family.
    """
    import numpy as np
    from scipy.special import ndtr

    from rramfit.card.families import family

    worst = 0.0, "", ""
    for level in card.levels:
        d = level.distribution
        if d is None or d.family == "normal":
            continue
        parameters = {name: q.value for name, q in d.parameters.items()}
        form = family(d.family)
        mean, std = form.moments(parameters)
        if not (math.isfinite(std) and std > 0):
            continue
        z = np.linspace(-6, 6, 1201)
        distance = float(np.abs(form.cdf(mean + std * z, parameters) - ndtr(z)).max())
        worst = max(worst, (distance, level.name, d.family))
    return worst


def _families(card: ModelCard) -> str | None:
    distance, level, family = worst_normal_distance(card)
    if distance < 1e-3:
        return None
    return (
        f"the distribution functions differ by up to {100 * distance:.2g} percentage points "
        f"({level}, {family})"
    )


def _spacing(card: ModelCard) -> str | None:
    """Return how far the levels are from evenly spaced ones."""
    import numpy as np

    at = np.sort([q.value for x in card.levels if (q := x.mean or x.target) is not None])
    if len(at) < 3 or not at[-1] > at[0]:
        return None
    even = np.linspace(at[0], at[-1], len(at))
    worst = float(np.abs(at - even).max() / (at[-1] - at[0]))
    if worst < 1e-3:
        return None
    return f"a level is up to {100 * worst:.2g} % of the range away from even spacing"


def _spread(name: str) -> Callable[[ModelCard], str | None]:
    """Return the size of one component of variation: its largest share of a level's mean."""

    def size(card: ModelCard) -> str | None:
        means = {x.index: x.mean.value for x in card.levels if x.mean is not None}
        shares = [
            q.value / abs(means[v.level])
            for v in card.variation
            if (q := getattr(v, name)) is not None and means.get(v.level)
        ]
        if not shares or max(shares) == 0:
            return None
        return f"a standard deviation of up to {100 * max(shares):.2g} % of a level's mean"

    return size


def _read(card: ModelCard) -> str | None:
    from_levels = _spread("read")(card)
    noise = card.read_noise
    if from_levels is None and noise is not None and noise.coefficient is not None:
        return f"a standard deviation of {100 * noise.coefficient.value:.2g} % of the conductance"
    return from_levels


def _correlation(card: ModelCard) -> str | None:
    matrix = card.variation_correlation
    others = [abs(r) for i, row in enumerate(matrix or []) for r in row[:i]]
    if not others or max(others) == 0:
        return None
    return f"a correlation of up to {max(others):.2g} between the offsets at two levels"


def _field(card: ModelCard) -> str | None:
    parts = [v.spatial for v in card.variation if v.spatial and v.spatial.share]
    shares = [p.share.value for p in parts if p.share is not None]
    if not shares or max(shares) == 0:
        return None
    worst = parts[shares.index(max(shares))]
    length = worst.correlation_length
    over = f", with a length of {length.value:.2g} cells" if length else ""
    return f"up to {100 * max(shares):.2g} % of the variance over cells{over}"


def _lines(card: ModelCard) -> str | None:
    found = [x.std.value for v in card.variation for x in v.lines or []]
    if not found:
        return None
    return f"a standard deviation of up to {format_quantity(max(found), 'S')} over lines"


def _trend(card: ModelCard) -> str | None:
    rows, cols = card.array.rows, card.array.cols
    ends = [
        abs(q.value) * (n - 1)
        for v in card.variation
        if v.spatial
        for q, n in ((v.spatial.row_trend, rows), (v.spatial.col_trend, cols))
        if q is not None
    ]
    if not ends or max(ends) == 0:
        return None
    return f"up to {format_quantity(max(ends), 'S')} from one edge of the array to the other"


def _failure(card: ModelCard) -> str | None:
    found = [f.probability.value for f in card.failure]
    if not found or max(found) == 0:
        return None
    return f"a probability of up to {100 * max(found):.2g} % of a programming"


def _share(*names: str) -> Callable[[ModelCard], str | None]:
    def size(card: ModelCard) -> str | None:
        found = {
            name: q.value
            for name in names
            if card.stuck is not None and (q := getattr(card.stuck, name, None)) is not None
        }
        listed = [f"{100 * x:.2g} % {name.replace('_', ' ')}" for name, x in found.items() if x > 0]
        return ", ".join(listed) or None

    return size


def _nonlinearity(card: ModelCard) -> str | None:
    if card.iv is None or card.iv.nonlinearity is None or card.iv.nonlinearity.value == 0:
        return None
    b, read = card.iv.nonlinearity.value, card.domain.read_voltage
    text = f"b = {b:.3g} 1/V"
    if read is None or read.value == 0:
        return text
    x = min(abs(b * read.value), 700.0)
    return (
        f"{text}: {100 * (math.sinh(x) / x - 1):.2g} % of the current at the read voltage of "
        f"{format_quantity(read.value, 'V')}"
    )


def _retention(card: ModelCard) -> str | None:
    kept = card.retention
    if kept is None or not kept.levels:
        return None
    means = {x.index: x.mean.value for x in card.levels if x.mean is not None}
    over = math.log(max(kept.longest_time.value / kept.reference_time.value, 1.0))

    def value(q: Quantity | None) -> float:
        return 0.0 if q is None else q.value

    changes = [
        abs(value(d.first_step) + value(d.drift) * over) / abs(means[d.level])
        for d in kept.levels
        if means.get(d.level)
    ]
    if not changes:
        return None
    until = format_quantity(kept.longest_time.value, "s")
    return f"up to {100 * max(changes):.2g} % of a level's mean until {until}"


def _wires(card: ModelCard) -> str | None:
    line = card.line
    if line is None:
        return None
    names = {
        "wordline_resistance": "a wordline segment",
        "bitline_resistance": "a bitline segment",
        "driver_resistance": "a driver",
        "sense_resistance": "a sense input",
    }
    found = [
        f"{q.value:.3g} Ω {where}"
        for name, where in names.items()
        if (q := getattr(line, name)) is not None and q.value > 0
    ]
    return ", ".join(found) or None


def _ends(card: ModelCard) -> str | None:
    line = card.line
    found = [
        f"{q.value:.3g} Ω {where}"
        for q, where in (
            (line.driver_resistance if line else None, "a driver"),
            (line.sense_resistance if line else None, "a sense input"),
        )
        if q is not None and q.value > 0
    ]
    return ", ".join(found) or None


def _inactive(card: ModelCard) -> str | None:
    return None if card.line is None else f"inactive rows are {card.line.inactive_rows}"


def _readout(card: ModelCard) -> str | None:
    r = card.readout
    if r is None:
        return None
    inl = f", INL {r.inl.value:.2g} LSB" if r.inl else ""
    return f"{r.bits} bits over {format_quantity(r.full_scale.value, 'A')}{inl}"


PROPERTIES: Mapping[str, tuple[str, Callable[[ModelCard], str | None]]] = {
    "families": ("Levels are normal distributions of the card's mean and std.", _families),
    "spacing": ("Levels are evenly spaced.", _spacing),
    "d2d": ("A cell has no deviation that persists over programmings.", _spread("d2d")),
    "c2c": ("Programming the same cell again gives the same state.", _spread("c2c")),
    "correlation": ("A cell's deviations at two levels are independent.", _correlation),
    "field": ("Deviations are independent between neighbouring cells.", _field),
    "lines": ("Cells of a line have no common offset.", _lines),
    "trend": ("Levels have no trend over the array.", _trend),
    "failure": ("Programming does not fail.", _failure),
    "stuck": ("There are no stuck cells.", _share("low", "middle", "high")),
    "dead_lines": ("There are no dead lines.", _share("dead_rows", "dead_cols")),
    "read": ("Reads have no noise.", _read),
    "nonlinearity": ("Cells are ohmic.", _nonlinearity),
    "retention": ("States do not change with time.", _retention),
    "wires": ("Wires have no resistance.", _wires),
    "ends": ("Drivers and sense inputs have no resistance of their own.", _ends),
    "inactive_rows": ("The state of inactive rows is not modelled.", _inactive),
    "readout": ("Columns are read without converters.", _readout),
}
"""Every property: what is true of files without it, and its size in a card (None: it has none)."""
