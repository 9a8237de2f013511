"""Types of options that refuse, before any work, what would fail after it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

__all__ = ["OUTPUT", "SEED", "FiniteRange"]

LARGEST_SEED = 2**63 - 1


class _Seed(click.IntRange):
    """What generators take."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found: int = super().convert(value, param, ctx)
        if found > LARGEST_SEED:
            self.fail(f"{value} is more than {LARGEST_SEED}", param, ctx)
        return found


SEED = _Seed(min=0)
"""Type of options that are a seed."""


class FiniteRange(click.FloatRange):
    """A range of numbers that NaN and infinity are not in."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a number."""
        found: float = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value!r} is no finite number", param, ctx)
        return found


class _Output(click.Path):
    """A file to write, refused before the work where it could not be written after it."""

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
"""Type of options that name a file to write."""
