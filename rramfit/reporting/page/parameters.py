"""Parameters of a card by what they are: those that matter most first, then the others by part."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["main_parameters", "part_of", "part_title"]

_FIRST = (".mean", ".std", ".probability")  # parameters of levels and failures listed first
_FIRST_FIELDS = frozenset(
    {
        "stuck.low",
        "stuck.high",
        "stuck.middle",
        "line.wordline_resistance",
        "line.bitline_resistance",
        "read_noise.coefficient",
        "iv.nonlinearity",
    }
)


def part_of(path: str) -> str:
    """Return the part of the card that a parameter is in; "" for those listed first.

    Examples
    --------
    >>> part_of("levels[0].mean"), part_of("variation[1].d2d"), part_of("line.driver_resistance")
    ('', 'variation', 'line')
    """
    if "distribution" in path:
        return "distributions"
    if path in _FIRST_FIELDS or path.endswith(_FIRST):
        return ""
    return path.partition(".")[0].partition("[")[0]


def part_title(part: str) -> str:
    """Return the name of a part as text, with a capital first letter."""
    return part.replace("_", " ").capitalize()


def main_parameters(paths: Iterable[str], most: int) -> list[str]:
    """Return at most `most` parameters: those listed first, then the others, in their order."""
    return sorted(paths, key=lambda path: part_of(path) != "")[:most]
