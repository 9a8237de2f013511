"""One row of a lot: what became of one array, or of a file that gave no card.

    verdict     the array
    ok, warning, bad    has a card with this verdict
    refused     is in a file that cannot be used as it is; `problem` says what to do
    failed      was lost to an error of rramfit, the end of its process, or its time limit

A row holds no card, only the numbers that a lot compares. It can be rebuilt from a card file.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from rramfit.card import ModelCard, quantities
from rramfit.card.canonical import canonical_json, card_content
from rramfit.fitting.comparison.level_matching import LevelPlaces, level_places
from rramfit.fitting.pooling.pool import die_name

__all__ = ["Row", "Site", "families", "row_of_card"]


class Site(NamedTuple):
    """Place of an array on its wafer."""

    die_x: int
    die_y: int
    tile_row: int
    tile_col: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What became of one array.

    Attributes
    ----------
    file : str
        The input as it was given; the first of several logs.
    name : str
        Name of the card, with the tile if the file has several.
    problem : str
        Why there is no card.
    summary : str
        The card's summary of its verdict.
    array : dict
        Identity and size of the array, as on the card.
    time : str
        The card's time: when the array was measured, if the file says so.
    inputs : list of [name, SHA-256]
        Files that the card was made from, the layout last.
    seed : int, optional
    layout : str, optional
        Name of the layout file.
    card, cells, report : str, optional
        Names of the files written.
    estimates : dict
        Key path of each estimate: [value, standard error, lower, upper, unit].
    families : dict
        Key path of each level's distribution, and its family.
    levels : list of [target, mean, std]
        Of each level [S]; a missing target is None.
    blind : bool
        Whether the levels were found from the readings.
    findings : list of [fit, text]
        The most important first.
    not_run : list of str
        Fits without data.
    warnings : list of str
        Warnings raised on the way.
    kept : bool
        Whether the card is from an earlier run.
    """

    file: str
    name: str
    verdict: Literal["ok", "warning", "bad", "refused", "failed"]
    problem: str = ""
    summary: str = ""
    digest: str | None = None
    array: dict[str, Any] = field(default_factory=dict)
    time: str | None = None
    inputs: list[list[str]] = field(default_factory=list)
    seed: int | None = None
    layout: str | None = None
    card: str | None = None
    cells: str | None = None
    report: str | None = None
    estimates: dict[str, list[Any]] = field(default_factory=dict)
    families: dict[str, str] = field(default_factory=dict)
    levels: list[list[float | None]] = field(default_factory=list)
    blind: bool = False
    findings: list[list[str]] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    kept: bool = False

    @property
    def has_card(self) -> bool:
        """Whether the array has a card."""
        return self.card is not None

    @property
    def lot(self) -> str | None:
        """Lot of the array, if known."""
        return self.array.get("lot")

    @property
    def wafer(self) -> str | None:
        """Wafer of the array, if known."""
        return self.array.get("wafer")

    @property
    def die_x(self) -> int | None:
        """Column of the die on the wafer, if known."""
        return self.array.get("die_x")

    @property
    def die_y(self) -> int | None:
        """Row of the die on the wafer, if known."""
        return self.array.get("die_y")

    @property
    def tile_row(self) -> int | None:
        """Row of the tile within the die, if known."""
        return self.array.get("tile_row")

    @property
    def tile_col(self) -> int | None:
        """Column of the tile within the die, if known."""
        return self.array.get("tile_col")

    @property
    def site(self) -> Site | None:
        """Place of the array on its wafer; None if that of its die is unknown."""
        if self.die_x is None or self.die_y is None:
            return None
        return Site(self.die_x, self.die_y, self.tile_row or 0, self.tile_col or 0)

    @property
    def die(self) -> str | None:
        """Name of the die, else its coordinates, if known."""
        return die_name(self.array.get("die"), self.die_x, self.die_y)

    @property
    def level_places(self) -> LevelPlaces:
        """Where the levels of the array are."""
        numbers = [[math.nan if x is None else x for x in level] for level in self.levels]
        target, centre, spread = map(list, zip(*numbers, strict=True)) if numbers else ([], [], [])
        return LevelPlaces(self.blind, target, centre, spread)

    def to_json(self) -> str:
        """Return the row as one line of JSON."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, line: str | bytes) -> Row:
        """Return the row of a line of JSON.

        Raises
        ------
        ValueError, TypeError
            If the line is not a row.
        """
        return cls(**json.loads(line))


def row_of_card(
    card: ModelCard,
    file: str,
    *,
    report: bool,
    findings: list[list[str]] | None = None,
    kept: bool = False,
) -> Row:
    """Return the row of an array with a card.

    Parameters
    ----------
    card : ModelCard
    file : str
        The input as it was given.
    report : bool
        Whether a report was written.
    findings : list of [fit, text], optional
        By default, those of the card.
    kept : bool
    """
    if not kept:  # in the order of the file, as it is when the row is made from it later
        card = ModelCard.model_validate_json(canonical_json(card_content(card)))
    quality = card.quality
    if findings is None:
        findings = [
            [fit, f"{what} {remedy}".rstrip()]
            for fit, q in quality.fits.items()
            if q.verdict in ("bad", "warning")
            for what, remedy in zip(q.findings, q.remedies, strict=False)
        ]
    places = level_places(card)
    return Row(
        file=file,
        name=card.name,
        verdict=quality.verdict,
        summary=quality.summary,
        digest=card.digest,
        array=card.array.model_dump(mode="json", exclude_none=True),
        time=card.provenance.time,
        inputs=[[x.name, x.sha256] for x in card.provenance.inputs],
        seed=card.provenance.seed,
        layout=card.provenance.arguments.get("layout"),
        card=f"{card.name}.card.json",
        cells=None if card.cells is None else card.cells.file,
        report=f"{card.name}.report.html" if report else None,
        estimates={
            path: [q.value, q.stderr, *(q.ci95 or (q.value, q.value)), q.unit]
            for path, q in quantities(card)
            if q.stderr is not None
        },
        families=families(card),
        levels=[
            [None if math.isnan(x) else x for x in level]
            for level in zip(places.target, places.centre, places.spread, strict=True)
        ],
        blind=places.blind,
        findings=findings,
        not_run=[fit for fit, q in quality.fits.items() if q.verdict == "not run"],
        kept=kept,
    )


def families(card: ModelCard) -> dict[str, str]:
    """Return the family of each level's distribution, by key path."""
    return {
        f"levels[{i}].distribution": level.distribution.family
        for i, level in enumerate(card.levels)
        if level.distribution is not None
    }
