"""Sweeps and lines whose readings do not fit the levels that the file says they were asked for.

A reading misses if it is not accepted, or is nearest to another level than its own. Let u_t be the
share of misses of sweep t (or of one line over all sweeps) and e_t that expected from the other
sweeps: the lower quartile over sweeps of each level's share, averaged as the sweep used the levels.
Sweep t stands out if u_t − e_t is above a quarter and six binomial standard deviations.

Such a sweep, and any sweep with a quarter of misses, is compared with other patterns: that of
another sweep, of the next level, with lines exchanged, reversed or shifted. A line is compared with
the other lines of its axis. A pattern explains the readings if their share nearest to its levels is
higher by 0.3 and reaches 0.8.

Levels nearer to each other than three standard deviations are one level here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.results.result import Finding
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.screening.response import LevelSpread
from rramfit.fitting.screening.second_population import format_ranges
from rramfit.units import counted, format_percent

__all__ = ["find_wrong_pattern"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_EXCESS, _Z = 0.25, 6.0
_GAIN, _FITS = 0.3, 0.8  # in the share of readings nearest to the levels of a pattern
_APART = 3.0  # standard deviations between distinguishable levels
_FEWEST = 16  # readings of a sweep or a line
_MOST_LINES = 16  # that are compared with all other lines
_CELLS = 16_384  # readings compared


def find_wrong_pattern(statistics: ProgramStatistics, at: LevelSpread, use: Bools) -> list[Finding]:
    """Report sweeps and lines that read another pattern than the one asked for.

    Parameters
    ----------
    statistics : ProgramStatistics
    at : LevelSpread
        Location and spread of the levels.
    use : (row, col) bool array
        Cells that are not dead or stuck.
    """
    sample = statistics.sample
    asked, nearest = _distinguishable(sample.level, sample.conductance, at)
    seen = (asked >= 0) & (nearest >= 0) & use
    if len(np.unique(asked[seen])) < 2:
        return []
    miss = seen & (~sample.accepted | (asked != nearest))
    bad = _standing_out(miss, seen, sample.level)
    out = _sweeps(statistics, asked, nearest, seen, miss, bad)
    rest = ~bad
    if rest.any():
        for axis, word in ((1, "row"), (2, "column")):
            out += _lines(asked[rest], nearest[rest], seen[rest], miss[rest], axis, word)
    return out


def _distinguishable(level: Integers, y: Floats, at: LevelSpread) -> tuple[Integers, Integers]:
    """Return the number of the asked and of the nearest distinguishable level; -1 if unknown."""
    known = np.flatnonzero(np.isfinite(at.centre))
    order = known[np.argsort(at.centre[known])]
    group = np.full(len(at.centre) + 1, -1)  # the last is for level -1
    edges: list[float] = []
    for i, k in enumerate(order):
        if i == 0:
            group[k] = 0
            continue
        j = order[i - 1]
        gap, spread = at.centre[k] - at.centre[j], at.spread[k] + at.spread[j]
        group[k] = group[j] + (gap > _APART * spread / 2)
        if group[k] > group[j]:
            share = at.spread[j] / spread if spread > 0 else 0.5
            edges.append(float(at.centre[j] + share * gap))
    nearest = np.where(np.isfinite(y), np.searchsorted(np.array(edges), y), -1)
    return group[level], nearest.astype(np.int64)


def _standing_out(miss: Bools, seen: Bools, level: Integers) -> Bools:
    """Return which sweeps miss far more often than the others."""
    n = seen.sum(axis=(1, 2))
    expected = np.zeros(len(n))
    for k in np.unique(level[seen]):
        mine = seen & (level == k)
        of_sweep = mine.sum(axis=(1, 2))
        used = of_sweep > 0
        share = (miss & mine).sum(axis=(1, 2))[used] / of_sweep[used]
        usual = float(np.quantile(share, 0.25, method="lower"))
        expected += of_sweep * usual
    expected /= np.maximum(n, 1)
    share = miss.sum(axis=(1, 2)) / np.maximum(n, 1)
    p = np.maximum(expected, 1 / np.maximum(n, 1))
    chance = _Z * np.sqrt(p * (1 - np.minimum(p, 1)) / np.maximum(n, 1))
    out: Bools = (n >= _FEWEST) & (share - expected > np.maximum(_EXCESS, chance))
    return out


def _sweeps(
    statistics: ProgramStatistics,
    asked: Integers,
    nearest: Integers,
    seen: Bools,
    miss: Bools,
    bad: Bools,
) -> list[Finding]:
    n = seen.sum(axis=(1, 2))
    share = miss.sum(axis=(1, 2)) / np.maximum(n, 1)
    suspect = np.flatnonzero(bad | ((n >= _FEWEST) & (share > _EXCESS)))
    by_reason: dict[str, list[int]] = {}
    for t in suspect.tolist():
        reason = _explanation(t, asked, nearest, seen, statistics.sample_sweeps)
        if reason or bad[t]:
            by_reason.setdefault(reason, []).append(t)
    out = []
    for reason, found in by_reason.items():
        sweeps = np.array(found)
        of, missed = int(seen[sweeps].sum()), int(miss[sweeps].sum())
        among = "" if statistics.sweeps == len(seen) else f" (of {len(seen)} that were compared)"
        out.append(
            Finding(
                f"In {_named('sweep', statistics.sample_sweeps[sweeps])}{among}, "
                f"{format_percent(missed / of)} of the readings are not at the level that was "
                f"asked for{_others(bad, miss, seen)}.{reason}",
                "Correct the levels of these sweeps in the file, or remove the sweeps. Failure "
                "probabilities include them until then.",
                severe=True,
                affected=missed / max(int(seen.sum()), 1),
                code="wrong-pattern",
            )
        )
    return out


def _others(bad: Bools, miss: Bools, seen: Bools) -> str:
    if not bad.any() or bad.all() or not seen[~bad].any():
        return ""
    return f", against {format_percent(miss[~bad].sum() / seen[~bad].sum())} in the other sweeps"


def _explanation(t: int, asked: Integers, nearest: Integers, seen: Bools, numbers: Integers) -> str:
    """Return a sentence on the pattern that the readings of a sweep fit; empty if none does."""
    own = float((asked[t] == nearest[t])[seen[t]].mean())
    best, text = max(own + _GAIN, _FITS), ""
    for words, pattern in _patterns(t, asked, numbers):
        both = seen[t] & (pattern >= 0)
        if both.sum() < 0.5 * seen[t].sum():
            continue
        fits = float((pattern == nearest[t])[both].mean())
        if fits > best:
            best = fits
            text = f" {format_percent(fits)} of them fit {words}."
    return text


def _patterns(t: int, asked: Integers, numbers: Integers) -> Iterator[tuple[str, Integers]]:
    """Yield other patterns for a sweep, with words for each."""
    mine = asked[t]
    top = int(asked.max()) + 1
    for step, words in ((1, "the next higher level"), (-1, "the next lower level")):
        yield f"{words} than asked for", np.where(mine < 0, -1, (mine + step) % top)
    for axis, word in ((0, "rows"), (1, "columns")):
        size = mine.shape[axis]
        i = np.arange(size)
        if size < 2:
            continue
        partner = np.where(i ^ 1 < size, i ^ 1, i)
        yield f"the pattern with {word} 2i and 2i + 1 exchanged", mine.take(partner, axis)
        yield f"the pattern with the {word} in reverse order", mine.take(i[::-1], axis)
        for shift in (1, -1):
            yield f"the pattern shifted by one {word[:-1]}", np.roll(mine, shift, axis)
    if mine.shape[0] == mine.shape[1]:
        yield "the pattern with rows and columns exchanged", mine.T
    for s in np.argsort(np.abs(np.arange(len(asked)) - t), kind="stable"):
        if s != t:
            yield f"the levels of sweep {numbers[s]}", asked[s]


def _lines(
    asked: Integers, nearest: Integers, seen: Bools, miss: Bools, axis: int, word: str
) -> list[Finding]:
    """Report lines whose readings fit the levels asked of another line."""
    across = (0, 3 - axis)
    n = seen.sum(axis=across)
    if len(n) < 2:
        return []
    share = miss.sum(axis=across) / np.maximum(n, 1)
    usual = float(np.median(share[n > 0])) if (n > 0).any() else 0.0
    suspect = np.flatnonzero((n >= _FEWEST) & (share > usual + _EXCESS))
    found = []
    step = max(1, math.ceil(asked.size / len(n) / _CELLS))
    a, b, s = (
        np.moveaxis(x, axis, 0).reshape(len(n), -1)[:, ::step] for x in (asked, nearest, seen)
    )
    for i in suspect[:_MOST_LINES]:
        both = s[i] & (a >= 0)
        fits = ((a == b[i]) & both).sum(axis=1) / np.maximum(both.sum(axis=1), 1)
        own = fits[i]
        fits[i] = 0.0
        j = int(np.argmax(fits))
        if fits[j] > max(own + _GAIN, _FITS):
            found.append((int(i), j, float(fits[j])))
    if not found:
        return []
    pairs = ", ".join(f"{i} reads {j}" for i, j, _ in found[:8])
    fit = format_percent(float(np.mean([f for *_, f in found])))
    verb = "reads" if len(found) == 1 else "read"
    return [
        Finding(
            f"{counted(len(found), word).capitalize()} {verb} what was asked of another {word} "
            f"({word} {pairs}): {fit} of the readings fit the levels of that {word}, and most "
            "of its cells count as failed.",
            "Check the multiplexer, the decoder, and how the file assigns rows and columns.",
            severe=True,
            affected=len(found) / len(n),
            code="line-reads-another",
        )
    ]


def _named(word: str, numbers: Integers) -> str:
    return f"{word}{'s' if len(numbers) > 1 else ''} {format_ranges(numbers)}"
