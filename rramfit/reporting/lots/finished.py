"""Results of an earlier run that a resumed one keeps.

A card is kept if its provenance states this input (SHA-256 of every file and of the layout, in
order), this version of rramfit, this seed and name; its content has its digest; its sidecar has the
SHA-256 that the card states; and the report, if one is wanted, shows this card and, in a lot, links
to its summary.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from rramfit.card import ModelCard, load_card
from rramfit.errors import CardError
from rramfit.provenance import package_version, sha256_of
from rramfit.reporting.lots.tasks import LotSettings, LotTask

__all__ = ["Finished"]

_LINK = 'href="lot.html"'


@dataclass(frozen=True, slots=True)
class Finished:
    """The cards of an earlier run that belong to these inputs."""

    inputs: tuple[tuple[str, str], ...]  # name and SHA-256, the layout last
    output: Path
    seed: int
    report: bool
    in_lot: bool

    @classmethod
    def of(cls, task: LotTask, settings: LotSettings) -> Finished | None:
        """Return the search for the cards of a task; None if a file cannot be read."""
        layout = () if settings.layout is None else (settings.layout,)
        try:
            inputs = tuple((path.name, sha256_of(path)) for path in (*task.files, *layout))
        except (OSError, ValueError):
            return None
        return cls(inputs, settings.output, settings.seed, settings.report, settings.in_lot)

    def card(self, name: str) -> ModelCard | None:
        """Return the card of this name, if it and its other files are what a new run would make."""
        path = self.output / f"{name}.card.json"
        if not path.is_file():
            return None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                card = load_card(path)
            same_cells = (
                card.cells is not None
                and card.cells.file == f"{name}.cells.h5"
                and sha256_of(self.output / card.cells.file) == card.cells.sha256
            )
            report = self.output / f"{name}.report.html"
            shown = (card.digest, *([_LINK] if self.in_lot else []))
            page = report.read_text(encoding="utf-8") if self.report else ""
            same_report = not self.report or all(text in page for text in shown)
        except (CardError, OSError, ValueError):
            return None
        of = card.provenance
        same = (
            tuple((x.name, x.sha256) for x in of.inputs) == self.inputs
            and of.rramfit_version == package_version()
            and of.seed == self.seed
            and card.name == of.arguments.get("name") == name
        )
        return card if same and same_cells and same_report else None
