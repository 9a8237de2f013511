"""Shards: part i of n of a work list, for runs that do not know of each other.

A shard is written i/n with i from 1 to n. Files are dealt out in turn (file k, from 0, to shard
k mod n + 1), so that neighbours of equal size are divided evenly; chips in blocks of consecutive
indices. In a SLURM array i is counted from the smallest index of the array, so that --array=0-7,
1-8 and 0-70:10 all give shards 1/8 to 8/8.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from rramfit.errors import RramfitError

__all__ = ["Shard", "shard_of_environment"]


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `index` of `of`, counted from 1."""

    index: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Return the shard written as i/n.

        Raises
        ------
        RramfitError
            If the text is not of this form, or i is not between 1 and n.

        Examples
        --------
        >>> Shard.parse("3/8")
        Shard(index=3, of=8)
        """
        found = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", text)
        index, of = (int(x) for x in found.groups()) if found else (0, 0)
        if not 1 <= index <= of:
            msg = f"{text!r} is not a shard i/n with i from 1 to n; write for example 1/8"
            raise RramfitError(msg)
        return cls(index, of)

    def in_turn(self, count: int) -> range:
        """Return the positions of this shard in a list that is dealt out in turn.

        Examples
        --------
        >>> list(Shard(2, 3).in_turn(8))
        [1, 4, 7]
        """
        return range(self.index - 1, count, self.of)

    def block(self, count: int) -> range:
        """Return the positions of this shard in a list that is cut into blocks.

        Examples
        --------
        >>> [list(Shard(i, 3).block(8)) for i in (1, 2, 3)]
        [[0, 1], [2, 3, 4], [5, 6, 7]]
        """
        return range((self.index - 1) * count // self.of, self.index * count // self.of)

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"


def shard_of_environment(environment: Mapping[str, str]) -> Shard | None:
    """Return the shard of a task of a SLURM array; None outside an array.

    Raises
    ------
    RramfitError
        If the indices of the array are not evenly spaced, so that they do not give i/n.

    Examples
    --------
    >>> slurm = {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "4"}
    >>> shard_of_environment(slurm | {"SLURM_ARRAY_TASK_MIN": "1"})
    Shard(index=1, of=4)
    >>> shard_of_environment(slurm | {"SLURM_ARRAY_TASK_MIN": "0"})
    Shard(index=2, of=4)
    """
    name = "SLURM_ARRAY_TASK_"
    if f"{name}ID" not in environment or f"{name}COUNT" not in environment:
        return None
    try:
        at, count, first, step = (
            int(environment.get(f"{name}{key}") or default)
            for key, default in (("ID", ""), ("COUNT", ""), ("MIN", "0"), ("STEP", "1"))
        )
        last = int(environment.get(f"{name}MAX") or first + (count - 1) * step)
    except ValueError:
        at, count, first, step, last = 0, 0, 0, 1, 0
    place, off = divmod(at - first, max(step, 1))
    if off or not 0 <= place < count or (last - first) // max(step, 1) + 1 != count:
        given = ", ".join(f"{k}={v}" for k, v in sorted(environment.items()) if k.startswith(name))
        msg = (
            f"the indices of this SLURM array do not give a shard i/n ({given}); use an evenly "
            "spaced array such as --array=1-8, or give --shard i/n"
        )
        raise RramfitError(msg)
    return Shard(place + 1, count)
