"""When an evaluation has enough chips: its mean is known to a stated width.

A rule that looks after every chip and stops at the first narrow interval stops too often where the
deviation happens to come out small. This one looks first after 20 chips, then after a quarter more
each time. The chips are taken in the order of their indices, so that a study stops at the same chip
however it is divided over processes.
"""

from __future__ import annotations

from collections.abc import Iterator

from rramfit.mapping.study.evaluation import Evaluation

__all__ = ["checkpoints", "is_narrow"]

_FIRST, _GROWTH = 20, 1.25


def checkpoints(most: int) -> Iterator[int]:
    """Iterate over the numbers of chips after which to look, up to `most`.

    Examples
    --------
    >>> list(checkpoints(50))
    [20, 25, 32, 40, 50]
    """
    at = _FIRST
    while at < most:
        yield at
        at = -int(-at * _GROWTH // 1)
    yield most


def is_narrow(found: Evaluation, percentage_points: float) -> bool:
    """Return whether the 95 % interval of the mean over chips is at most this wide."""
    return 100 * (found.mean.high - found.mean.low) <= percentage_points
