"""Results of chips, chip by chip: what runs on other machines, or earlier ones, add to a study.

A chip is its index under a seed, so that results of chips 0 to 499 and 500 to 999 join to exactly
those of chips 0 to 999. Of each chip the number of images that it classifies correctly is kept, and
of each image the number of chips that are right on it; every statistic follows from these integers.
With other metrics they are sums of scores in multiples of 1/unit.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ChipResults", "Counts", "DrawnChips", "join", "pieces"]

Counts = NDArray[np.int32] | NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnChips:
    """The same chips on drawn cards.

    Attributes
    ----------
    hits : tuple of int
        Number of images that each chip classifies correctly.
    draw : tuple of int
        Draw of each chip.
    by_image : dict of int to (image,) array
        Number of chips of a draw that are right on each image.
    """

    hits: tuple[int, ...]
    draw: tuple[int, ...]
    by_image: dict[int, Counts]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipResults:
    """Results of consecutive chips.

    Attributes
    ----------
    first : int
        Index of the first chip.
    hits : tuple of int
        Number of images that each chip classifies correctly.
    by_image : (image,) array
        Number of chips that are right on each image.
    drawn : DrawnChips, optional
        The same chips on drawn cards.
    unit : int
        1 for hits; otherwise scores are counted in multiples of 1/unit.
    """

    first: int
    hits: tuple[int, ...]
    by_image: Counts
    drawn: DrawnChips | None = None
    unit: int = 1

    @property
    def indices(self) -> range:
        """Indices of the chips."""
        return range(self.first, self.first + len(self.hits))

    @property
    def accuracies(self) -> list[float]:
        """Accuracy of each chip, or its mean score."""
        return [n / (len(self.by_image) * self.unit) for n in self.hits]

    def to_json(self) -> dict[str, Any]:
        """Return the results as JSON types."""
        content: dict[str, Any] = {
            "first": self.first,
            "hits": list(self.hits),
            "by_image": _packed(self.by_image),
        }
        if self.unit != 1:
            content["unit"] = self.unit
        if self.drawn is not None:
            content["drawn"] = {
                "hits": list(self.drawn.hits),
                "draw": list(self.drawn.draw),
                "by_image": {str(d): _packed(x) for d, x in self.drawn.by_image.items()},
            }
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ChipResults:
        """Return the results of JSON types.

        Raises
        ------
        ValueError, KeyError, TypeError
            If the content is not what `to_json` returns.
        """
        unit = content.get("unit", 1)
        if type(unit) is not int or unit < 1:
            msg = f"a unit of {unit!r}"
            raise ValueError(msg)
        by_image = _unpacked(content["by_image"])
        hits = _whole(content["hits"], least=0 if unit == 1 else None)
        drawn = None
        if "drawn" in content:
            given = content["drawn"]
            drawn = DrawnChips(
                hits=_whole(given["hits"]),
                draw=_whole(given["draw"]),
                by_image={int(d): _unpacked(x) for d, x in given["by_image"].items()},
            )
            _check(drawn.hits, sum(drawn.by_image.values(), np.zeros_like(by_image)))
            if set(drawn.by_image) != set(drawn.draw) or len(drawn.draw) != len(hits):
                msg = "the draws do not match the chips"
                raise ValueError(msg)
        _check(hits, by_image, unit=unit)
        (first,) = _whole([content["first"]])
        return cls(first=first, hits=hits, by_image=by_image, drawn=drawn, unit=unit)


def join(parts: Sequence[ChipResults]) -> list[ChipResults]:
    """Join results whose chips are neighbours; return them in the order of their chips.

    Raises
    ------
    ValueError
        If two parts have a chip in common, other images, or only one has drawn cards.

    Examples
    --------
    >>> halves = [ChipResults(first=i, hits=(1,), by_image=np.array([1, 0])) for i in (1, 0)]
    >>> [list(part.indices) for part in join(halves)]
    [[0, 1]]
    """
    joined: list[ChipResults] = []
    for part in sorted(parts, key=lambda x: x.first):
        last = joined[-1] if joined else None
        if last is None or last.indices.stop < part.first:
            joined.append(part)
            continue
        if last.indices.stop > part.first:
            msg = f"chip {part.first} is given twice"
            raise ValueError(msg)
        alike = len(last.by_image) == len(part.by_image) and last.unit == part.unit
        if not alike or (last.drawn is None) != (part.drawn is None):
            msg = f"chips {last.first} and {part.first} were not evaluated alike"
            raise ValueError(msg)
        joined[-1] = ChipResults(
            first=last.first,
            hits=last.hits + part.hits,
            by_image=last.by_image + part.by_image,
            drawn=_join_drawn(last.drawn, part.drawn),
            unit=last.unit,
        )
    return joined


def _join_drawn(a: DrawnChips | None, b: DrawnChips | None) -> DrawnChips | None:
    if a is None or b is None:
        return None
    by_image = dict(a.by_image)
    for draw, counts in b.by_image.items():
        by_image[draw] = by_image[draw] + counts if draw in by_image else counts
    return DrawnChips(hits=a.hits + b.hits, draw=a.draw + b.draw, by_image=by_image)


def pieces(
    wanted: range, done: Sequence[ChipResults], *, size: int, chips: int, draws: int = 0
) -> list[range]:
    """Divide the chips that are not done into pieces of at most `size`.

    With draws of the card, a piece has chips of one draw, because a drawn card is costly to set up.

    Examples
    --------
    >>> pieces(range(10), [], size=4, chips=10)
    [range(0, 4), range(4, 8), range(8, 10)]
    """
    present = {index for part in done for index in part.indices}
    found: list[range] = []
    for index in wanted:
        if index in present:
            continue
        last = found[-1] if found else range(0)
        same = not draws or last.start * draws // chips == index * draws // chips
        if found and last.stop == index and len(last) < size and same:
            found[-1] = range(last.start, index + 1)
        else:
            found.append(range(index, index + 1))
    return found


def _check(hits: tuple[int, ...], by_image: Counts, *, unit: int = 1) -> None:
    images = len(by_image)
    wrong = sum(hits) != int(by_image.sum())
    if unit == 1:
        wrong |= any(not 0 <= n <= images for n in hits)
        wrong |= bool((by_image < 0).any() or (by_image > len(hits)).any())
    if wrong:
        msg = "the counts of chips and images differ"
        raise ValueError(msg)


def _whole(values: Sequence[Any], *, least: int | None = 0) -> tuple[int, ...]:
    if not all(type(x) is int and (least is None or x >= least) for x in values):
        msg = "a count is not a whole number"
        raise TypeError(msg)
    return tuple(values)


def _packed(counts: Counts) -> str:
    """Pack counts as little-endian integers of four or eight bytes, compressed."""
    kind = "<i4" if counts.dtype == np.int32 else "<i8"
    packed = base64.b64encode(zlib.compress(counts.astype(kind).tobytes(), 9)).decode("ascii")
    return packed if kind == "<i4" else f"i8:{packed}"


def _unpacked(text: str) -> Counts:
    wide = text.startswith("i8:")
    try:
        content = zlib.decompress(base64.b64decode(text.removeprefix("i8:"), validate=True))
    except zlib.error as e:
        raise ValueError(str(e)) from None
    if wide:
        return np.frombuffer(content, dtype="<i8").astype(np.int64)
    return np.frombuffer(content, dtype="<i4").astype(np.int32)
