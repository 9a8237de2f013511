"""The contract of an importer: a device description of another program becomes a card.

Such a card states numbers, it does not estimate them: its quantities have no standard error, its
verdict is a warning that says so, and what the description does not state is absent. `card compare`
then shows where a measured chip differs from what a simulator assumes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rramfit.card.document import seal
from rramfit.card.quality import FitQuality, InputFile, Provenance, Quality
from rramfit.card.quantity import Quantity
from rramfit.card.schema import ArrayInfo, Distribution, Domain, LevelCard, ModelCard
from rramfit.provenance import package_version, result_time, sha256_of

__all__ = ["Importer", "StatedArray", "StatedLevel", "stated_card"]

Cell = Literal["1T1R", "2T1R", "1S1R", "1R"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedArray:
    """The array that a card is to describe; simulators do not name one."""

    rows: int = 128
    cols: int = 128
    cell: Cell = "1T1R"


@dataclass(frozen=True, slots=True, kw_only=True)
class Importer:
    """One format of another program.

    Attributes
    ----------
    name : str
        As in `rramfit card from FILE --kind NAME`.
    title, reads : str
        The program, and which of its files: noun phrases.
    read : callable (path, array) -> ModelCard
        Returns a sealed card of stated quantities; raises an `InputError` that names the file.
    aliases : tuple of str
        Further names.
    """

    name: str
    title: str
    reads: str
    read: Callable[[Path, StatedArray], ModelCard]
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedLevel:
    """One conductance level as stated: `mean` and `std` in S; None if not stated."""

    mean: float
    std: float | None = None
    target: float | None = None

    def card(self, index: int) -> LevelCard:
        """Return the level of a card: a normal distribution if the std is stated and positive."""
        given = Quantity.given
        normal = None
        if self.std:
            normal = Distribution(
                family="normal",
                parameters={"loc": given(self.mean, "S"), "scale": given(self.std, "S")},
            )
        return LevelCard(
            index=index,
            name=f"L{index}",
            target=given(self.mean if self.target is None else self.target, "S"),
            n_cells=0,
            n_observations=0,
            mean=given(self.mean, "S"),
            std=None if self.std is None else given(self.std, "S"),
            distribution=normal,
        )


def stated_card(
    path: Path,
    levels: Sequence[StatedLevel],
    *,
    importer: Importer | str,
    array: StatedArray,
    name: str | None = None,
    findings: Sequence[str] = (),
    remedies: Sequence[str] = (),
    further: dict[str, Any] | None = None,
    inputs: Sequence[Path] = (),
) -> ModelCard:
    """Return a sealed card of stated levels.

    Parameters
    ----------
    path : Path
        The file that was read.
    levels : sequence of StatedLevel
        In order of rising conductance.
    importer : Importer or str
        Whose name the card's provenance has.
    array : StatedArray
    name : str, optional
        By default that of the file, without suffix.
    findings : sequence of str
        What the file states and the card cannot have: a sentence each.
    remedies : sequence of str
        What to do about each finding; by default nothing.
    further : mapping, optional
        Other parts of the card by field name: `variation`, `stuck`, `line`, `retention`, …
    inputs : sequence of Path
        Files that were read besides `path`.
    """
    kind = importer if isinstance(importer, str) else importer.name
    files = [path, *inputs]
    time, source = result_time(files)
    summary = (
        f"Stated by a {kind} description, not estimated from measurements: no number has an "
        f"uncertainty, and the array size of {array.rows} × {array.cols} was given on import."
    )
    return seal(
        ModelCard(
            name=name or path.name.partition(".")[0] or kind,
            digest="sha256:" + "0" * 64,
            array=ArrayInfo(
                id=f"stated by {kind}",
                rows=array.rows,
                cols=array.cols,
                cell=array.cell,
                synthetic=True,
            ),
            levels=[level.card(k) for k, level in enumerate(levels)],
            domain=Domain(rows=array.rows, cols=array.cols),
            quality=_quality(summary, findings, remedies),
            provenance=Provenance(
                inputs=[InputFile(name=f.name, sha256=sha256_of(f)) for f in files],
                rramfit_version=package_version(),
                arguments={"stated_by": kind},
                seed=0,
                time=time,
                time_source=source,
            ),
            **(further or {}),
        )
    )


def _quality(summary: str, findings: Sequence[str], remedies: Sequence[str]) -> Quality:
    """Return the quality of a stated card: a warning, with what the import could not take over."""
    filled = [*remedies, *[""] * (len(findings) - len(remedies))]
    fit = FitQuality(verdict="not run", findings=list(findings), remedies=filled)
    return Quality(verdict="warning", summary=summary, fits={"import": fit})
