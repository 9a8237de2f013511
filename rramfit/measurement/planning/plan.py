"""Cells, sweeps and multiples of other groups that wanted intervals need.

The programming sweeps have two sizes: cells, and attempts of each cell at each level. Of all plans
that meet every want with at most a quarter more arrays than it takes, the one with the fewest
attempts is chosen. Up to one array, more cells are a larger part of it; beyond, more arrays, which
also have lines of their own and differ from each other by what the card states as `between`. More
sweeps of the same cells leave what differs between cells, lines and arrays: a parameter then has a
smallest half width, which is part of the plan.

Parameters of another group (reads, retention, bakes, endurance, I–V, patterns, read-out) shrink
with the root of the number of cells, reads, patterns or repeats in it. The plan has the multiple of
the measurement that the card is from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from rramfit.card.quantity import Quantity, quantities
from rramfit.card.schema import ModelCard
from rramfit.errors import CardError, RramfitError
from rramfit.measurement.planning.error_terms import (
    GROUPS,
    Size,
    Terms,
    group_of,
    program_size,
    terms_of,
)
from rramfit.measurement.planning.half_width import IntervalModel
from rramfit.measurement.planning.planned import (
    GroupPlan,
    MeasurementPlan,
    ParameterPlan,
    half_width_text,
)
from rramfit.measurement.planning.wants import Want, find_wanted, parse_want

__all__ = ["plan_measurement"]

_MOST_REPEATS = 256
_MOST_CELLS = 1e12
_UNLIMITED = 1e9
_LISTED = 4
_MORE_ARRAYS = 1.25
_REPEATS = tuple(sorted({round(1.19**i) for i in range(33)}))


@dataclass(frozen=True, slots=True)
class _Parameter:
    """A parameter of the programming sweeps, with its error."""

    path: str
    quantity: Quantity
    wanted: float
    terms: Terms
    size: Size
    intervals: IntervalModel
    between: float
    allowed: float  # largest variance that meets the want

    def variance(self, size: Size, arrays: float = 1.0) -> float:
        return self.terms.variance(size, arrays=arrays) + self.between**2 / max(arrays, 1.0)


def plan_measurement(
    card: ModelCard,
    wants: Mapping[str, str | float] | Iterable[Want | str],
    *,
    cells: int | None = None,
    repeats: int | None = None,
) -> MeasurementPlan:
    """Plan the size of a measurement by the errors of a card.

    Parameters
    ----------
    card : ModelCard
    wants : mapping of str to str or float, or iterable of Want or str
        Wanted half width of the 95 % interval by key path: ``{"levels[0].mean": "1 %"}``, or
        ``["levels[0].mean=1 %"]``.
    cells : int, optional
        Cells that can be programmed, if they are fixed.
    repeats : int, optional
        Attempts of each cell at each level, if they are fixed.

    Returns
    -------
    MeasurementPlan
        With `met` False where no plan within the fixed sizes meets every want.

    Raises
    ------
    RramfitError
        If a want is about no parameter of the card, or about one that has no error.
    """
    for name, fixed in (("cells", cells), ("repeats", repeats)):
        if fixed is not None and fixed < 1:
            msg = f"{name}: found {fixed}, expected 1 or more. Correct the number"
            raise RramfitError(msg)
    known = dict(quantities(card))
    program, others, notes = _collect(card, known, _as_wants(wants))
    parts = [_other(p) for p in others.values()]
    groups: dict[str, float] = {}
    for p in parts:
        groups[p.group] = max(groups.get(p.group, 1.0), p.factor)
    if "temperature" in groups:
        notes.append(
            "The error of an activation energy also falls with the range of temperatures, and more "
            "cells do not show whether the law holds outside it. Add a bake at another temperature."
        )
    chosen = _choose(program, card, cells=cells, repeats=repeats) if program else None
    if chosen is not None:
        n, m = chosen
        parts = [_finished(p, card, n, m) for p in program] + parts
        notes += _notes(parts, program, card, n)
    return MeasurementPlan(
        cells=chosen[0] if chosen else None,
        arrays=math.ceil(chosen[0] / _array(card)) if chosen else None,
        repeats=chosen[1] if chosen else None,
        sweeps=chosen[1] * max(len(card.levels), 1) if chosen else None,
        groups=tuple(
            GroupPlan(group=GROUPS[g][0], counts=GROUPS[g][1], factor=f) for g, f in groups.items()
        ),
        parameters=tuple(parts),
        notes=tuple(dict.fromkeys(notes)),
    )


def _as_wants(wants: Mapping[str, str | float] | Iterable[Want | str]) -> list[Want]:
    if isinstance(wants, Mapping):
        wants = [f"{path}={amount}" for path, amount in wants.items()]
    found = [w if isinstance(w, Want) else parse_want(w) for w in wants]
    if not found:
        msg = "found no wanted interval, expected at least one, such as levels[0].mean=1 %"
        raise RramfitError(msg)
    return found


def _collect(
    card: ModelCard, known: Mapping[str, Quantity], wants: list[Want]
) -> tuple[list[_Parameter], dict[str, tuple[str, Quantity, float]], list[str]]:
    """Return parameters of the sweeps, those of other groups, and notes on what was skipped."""
    program: dict[str, _Parameter] = {}
    others: dict[str, tuple[str, Quantity, float]] = {}
    notes = []
    for want in wants:
        several = "*" in want.pattern
        for path in find_wanted(known, want, name=card.name):
            q = known[path]
            if several and (q.value == 0 and want.unit == "%"):
                notes.append(f"{path} is 0; a share of it is no interval. Name it with an amount.")
                continue
            wanted = want.half_width(path, q)
            if group_of(path) in GROUPS:
                if q.ci95 is None:
                    if not several:
                        raise _without_error(card, path)
                    continue
                others[path] = (path, q, min(wanted, others.get(path, (0, 0, math.inf))[2]))
                continue
            found = _parameter(card, path, q, wanted)
            if found is None:
                if not several:
                    raise _without_error(card, path)
                continue
            before = program.get(path)
            if before is None or wanted < before.wanted:
                program[path] = found
    if not program and not others:
        raise _without_error(card, wants[0].pattern)
    return list(program.values()), others, notes


def _without_error(card: ModelCard, path: str) -> CardError:
    return CardError(
        card.name,
        path,
        found="a number without an error",
        expected="one that was estimated",
        remedy="name another parameter, or a card from a characterized measurement",
    )


def _parameter(card: ModelCard, path: str, q: Quantity, wanted: float) -> _Parameter | None:
    size, terms = program_size(card, path), terms_of(card, path, q)
    predicted = terms.variance(size)
    if q.stderr:
        if not (0 < predicted < math.inf):
            terms, predicted = Terms(cells=1.0, absolute=False), 1 / size.cells
        terms = terms.scaled(q.stderr**2 / predicted)
    elif q.stderr is not None or not terms.absolute or not predicted > 0:
        return None
    variance = terms.variance(size)
    intervals = IntervalModel(q, variance)
    return _Parameter(
        path,
        q,
        wanted,
        terms,
        size,
        intervals,
        q.between or 0.0,
        intervals.largest_variance(wanted),
    )


def _array(card: ModelCard) -> float:
    return float(max(card.domain.rows * card.domain.cols, 1))


def _at(p: _Parameter, card: ModelCard, cells: float, repeats: float) -> float:
    """Return the variance of a parameter with this number of cells and attempts."""
    share = p.size.cells / _array(card)  # of an array's cells that count, such as healthy ones
    arrays = max(cells / _array(card), 1.0)
    side = math.sqrt(min(cells / _array(card), 1.0))
    size = Size(
        cells=cells / arrays * min(share, 1.0),
        repeats=repeats,
        rows=max(p.size.rows * side, 1.0),
        cols=max(p.size.cols * side, 1.0),
    )
    return p.variance(size, arrays)


def _cells_for(p: _Parameter, card: ModelCard, repeats: float) -> float:
    """Return the cells that a want needs; infinite if no number is enough."""
    return _smallest(lambda n: _at(p, card, n, repeats), p.allowed)


def _smallest(variance: Callable[[float], float], allowed: float) -> float:
    """Return the smallest size, from 1, whose variance is allowed; infinity if there is none."""
    low, high = 0.0, math.log(_MOST_CELLS)
    if variance(math.exp(high)) > allowed:
        return math.inf
    if variance(1.0) <= allowed:
        return 1.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if variance(math.exp(middle)) > allowed else (low, middle)
    return math.exp(high)


def _choose(
    program: list[_Parameter], card: ModelCard, *, cells: int | None, repeats: int | None
) -> tuple[int, int]:
    """Return cells and attempts: the fewest attempts with little more than the fewest arrays."""
    options = []
    for m in (repeats,) if repeats is not None else _REPEATS:
        needed = max(_cells_for(p, card, m) for p in program)
        if math.isinf(needed) or (cells is not None and math.ceil(needed) > cells):
            continue
        n = cells if cells is not None else math.ceil(needed)
        options.append((math.ceil(n / _array(card)), n * m, m, n))
    if options:
        least = min(options)[0]
        _, m, n = min(o[1:] for o in options if o[0] <= _MORE_ARRAYS * least)
        return n, m
    m = repeats if repeats is not None else _MOST_REPEATS if cells is not None else _REPEATS[-1]
    n = cells if cells is not None else math.ceil(max(p.size.cells for p in program))
    return n, m


def _finished(p: _Parameter, card: ModelCard, cells: int, repeats: int) -> ParameterPlan:
    now = p.intervals.half_width(p.variance(p.size)) if p.quantity.stderr else math.inf
    alone = _cells_for(p, card, p.size.repeats)
    today = p.size.cells / min(p.size.cells / _array(card), 1.0)
    enough = (m for m in range(1, _MOST_REPEATS + 1) if _at(p, card, today, m) <= p.allowed)
    return ParameterPlan(
        path=p.path,
        unit=p.quantity.unit,
        value=p.quantity.value,
        wanted=p.wanted,
        now=now,
        planned=p.intervals.half_width(_at(p, card, cells, repeats)),
        group="program",
        cells_only=math.ceil(alone) if math.isfinite(alone) else None,
        sweeps_only=next(enough, None),
        floor=p.intervals.half_width(_at(p, card, today, _UNLIMITED)),
        factor=alone / today if math.isfinite(alone) else math.inf,
    )


def _other(found: tuple[str, Quantity, float]) -> ParameterPlan:
    """Return what a parameter of another group needs."""
    path, q, wanted = found
    own, between = (q.stderr or 0.0) ** 2, (q.between or 0.0) ** 2
    if own == 0:
        return ParameterPlan(
            path=path,
            unit=q.unit,
            value=q.value,
            wanted=wanted,
            now=0.0,
            planned=0.0,
            group=group_of(path),
        )
    model = IntervalModel(q, own)
    allowed = model.largest_variance(wanted)
    factor = _smallest(lambda n: own / n + between, allowed)
    return ParameterPlan(
        path=path,
        unit=q.unit,
        value=q.value,
        wanted=wanted,
        now=model.half_width(own + between),
        planned=model.half_width(own / factor + between),
        group=group_of(path),
        floor=model.half_width(own / _UNLIMITED + between),
        factor=factor,
    )


def _notes(
    parts: list[ParameterPlan], program: list[_Parameter], card: ModelCard, cells: int
) -> list[str]:
    """Return sentences on what does not shrink with more of the same."""
    short = [p for p in parts if p.group == "program" and p.sweeps_only is None]
    notes = []
    if short:
        listed = ", ".join(
            f"{p.path} ± {half_width_text(p.floor, p.unit)}" for p in short[:_LISTED]
        )
        more = f", and {len(short) - _LISTED} more" if len(short) > _LISTED else ""
        notes.append(
            f"More sweeps of as many cells as the card's reach at best {listed}{more}, because "
            "cells, lines and arrays differ. Measure more cells."
        )
    if any(p.terms.rows or p.terms.cols for p in program):
        notes.append(
            "Offsets of lines average over lines, not over cells: within one array more cells help "
            "by the root of what independent cells would. Measure further arrays."
        )
    if not any(p.between for p in program):
        notes.append(
            "The card is from one array. Arrays may differ by more than these intervals, and only "
            "further arrays show by how much."
        )
    elif cells < _array(card):
        notes.append("The difference between arrays is in the intervals of one array as planned.")
    return notes
