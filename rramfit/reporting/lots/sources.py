"""What a lot was made from, collected over its rows: files, their digests, seeds, times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rramfit.reporting.page.origin import PageOrigin

if TYPE_CHECKING:
    from rramfit.reporting.lots.compare.yields import YieldLimit
    from rramfit.reporting.lots.row import Row

__all__ = ["LotSources"]


@dataclass(slots=True)
class LotSources:
    """Inputs of the cards of a lot, each once, in the order of the rows."""

    inputs: dict[tuple[str, str], None] = field(default_factory=dict)
    seeds: dict[int, None] = field(default_factory=dict)
    layouts: dict[str, None] = field(default_factory=dict)
    newest: str = ""
    without: set[str] = field(default_factory=set)
    _files: dict[str, None] = field(default_factory=dict)

    @property
    def files(self) -> int:
        """Number of files, or of measurements of several logs."""
        return len(self._files)

    def add(self, row: Row) -> None:
        """Add the sources of a row."""
        self._files[row.file] = None
        if not row.has_card:
            self.without.add(row.file)
            return
        self.inputs |= dict.fromkeys((name, digest) for name, digest in row.inputs)
        if row.seed is not None:
            self.seeds[row.seed] = None
        if row.layout is not None:
            self.layouts[row.layout] = None
        self.newest = max(self.newest, row.time or "")

    def origin(self, limits: Sequence[YieldLimit]) -> PageOrigin:
        """Return the origin of the page of the lot."""
        seeds = ", ".join(map(str, self.seeds))
        options = [f"--layout {name}" for name in self.layouts]
        options += [f"--seed {seeds}"] if seeds else []
        options += [f"--yield-at '{limit}'" for limit in limits]
        return PageOrigin(
            command=" ".join(["rramfit characterize FILE…", *options]),
            inputs=tuple(self.inputs),
            time=f"{self.newest} (newest input)" if self.newest else "",
            seed=seeds,
            missing=len(self.without),
        )
