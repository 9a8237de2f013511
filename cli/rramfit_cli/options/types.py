"""Option types that reject, before any work, values that would fail after it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

__all__ = ["OUTPUT", "SEED", "FiniteRange"]

LARGEST_SEED = 2**63 - 1


class _Seed(click.IntRange):
    """An integer that random generators accept as their seed."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        seed: int = super().convert(value, param, ctx)
        if seed > LARGEST_SEED:
            self.fail(f"{value} is greater than {LARGEST_SEED}", param, ctx)
        return seed


SEED = _Seed(min=0)
"""Type of a seed."""


class FiniteRange(click.FloatRange):
    """A range of numbers without NaN and infinity."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Convert the text to a number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


class _Output(click.Path):
    """A file to write, rejected before the work if it could not be written afterwards."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        from rramfit.errors import OutputError
        from rramfit.provenance import check_file

        path = Path(value)
        try:
            check_file(path)
        except OutputError as e:
            self.fail(str(e), param, ctx)
        return path


OUTPUT = _Output(dir_okay=False, path_type=Path)
"""Type of a file to write."""
