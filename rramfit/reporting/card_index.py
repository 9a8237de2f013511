"""A searchable page of model cards: `index.html`, and `cards.json` with the same content.

The page is self-contained and loads nothing. Without scripts it is a list of all cards; with them
a search box and two filters select cards. Both files are written from the cards alone, so the same
folder gives the same bytes.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rramfit.card.document import card_problems, load_card
from rramfit.card.quantity import Quantity
from rramfit.card.schema import ModelCard
from rramfit.errors import RramfitWarning
from rramfit.export.citation import bibtex_entry, citation_text
from rramfit.provenance import atomic_file
from rramfit.reporting.page.wording import capacity, listed, with_unit

__all__ = ["CardEntry", "CardIndex", "index_cards", "publish_cards"]

_LARGEST = 64 * 2**20  # bytes of a file that is read

_PARTS = {
    "levels": "levels",
    "variation": "variation",
    "failure": "failures",
    "stuck": "stuck cells",
    "line": "wires",
    "iv": "I–V",
    "read_noise": "read noise",
    "retention": "retention",
    "temperature": "temperature",
    "endurance": "endurance",
    "readout": "read-out",
}
"""Parts of a card that the page names, where the card has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardEntry:
    """One card of the index."""

    card: ModelCard
    file: str  # path from the page to the card, with "/"

    @property
    def link(self) -> str:
        """Return the path as a URL."""
        return quote(self.file)

    @property
    def doi_link(self) -> str | None:
        """Return the address of the DOI; None without one."""
        doi = self.card.citation.doi if self.card.citation else None
        return f"https://doi.org/{quote(doi, safe='/')}" if doi else None

    @property
    def citation(self) -> str:
        """Return how to cite the card."""
        return citation_text(self.card)

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the names of the parts that the card has."""
        return tuple(name for key, name in _PARTS.items() if getattr(self.card, key, None))

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """Return names and values to show."""
        c = self.card
        a, s = c.array, c.citation
        kind = f"{a.rows} × {a.cols} {a.cell}" + (", synthetic" if a.synthetic else "")
        found = [("Array", kind), ("Technology", a.technology), ("Levels", _levels(c))]
        found += [("Capacity", _capacity(c.bits_per_cell))]
        found += [("Temperature", _shown(c.domain.temperature)), ("Has", listed(self.parts))]
        if s is not None:
            found += [("Authors", ", ".join(s.authors or [])), ("Licence", s.license)]
        return tuple((name, value) for name, value in found if value)

    @property
    def searched(self) -> str:
        """Return the text that the search box looks through, in lower case."""
        c = self.card
        a, s = c.array, c.citation
        texts = [c.name, c.digest, c.quality.verdict, c.quality.summary, a.id, a.cell, self.file]
        texts += [x for x in (a.lot, a.wafer, a.die, a.technology, a.instrument) if x]
        texts += [*self.parts, *(x.name for x in c.levels)]
        if s is not None:
            texts += [*(s.authors or []), *(x for x in (s.license, s.doi, s.title) if x)]
        families = {x.distribution.family for x in c.levels if x.distribution}
        return " ".join([*texts, *sorted(families)]).lower()

    def to_json(self) -> dict[str, Any]:
        """Return the entry as JSON types; absent values are left out."""
        c = self.card
        levels = [x.mean.value for x in c.levels if x.mean is not None]
        content = {
            "file": self.file,
            "name": c.name,
            "revision": c.revision,
            "digest": c.digest,
            "schema_version": c.schema_version,
            "array": c.array.model_dump(exclude_none=True),
            "levels": len(c.levels),
            "conductance": [min(levels), max(levels)] if levels else None,
            "bits_per_cell": None if c.bits_per_cell is None else c.bits_per_cell.value,
            "temperature": None if c.domain.temperature is None else c.domain.temperature.value,
            "parts": list(self.parts),
            "verdict": c.quality.verdict,
            "summary": c.quality.summary,
            "time": c.provenance.time,
            "citation": {
                **(c.citation.model_dump(exclude_none=True) if c.citation else {}),
                "text": self.citation,
                "bibtex": bibtex_entry(c),
            },
        }
        return {key: value for key, value in content.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class CardIndex:
    """All cards of a folder, by name, and the files that look like cards and cannot be read."""

    title: str
    cards: tuple[CardEntry, ...]
    problems: tuple[str, ...] = field(default=())

    @property
    def cells(self) -> tuple[str, ...]:
        """Return the kinds of cells, for the filter."""
        return tuple(sorted({entry.card.array.cell for entry in self.cards}))

    @property
    def verdicts(self) -> tuple[str, ...]:
        """Return the verdicts, the best first."""
        found = {entry.card.quality.verdict for entry in self.cards}
        return tuple(v for v in ("ok", "warning", "bad") if v in found)

    def to_html(self) -> str:
        """Return the page."""
        import jinja2

        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("rramfit.reporting.page"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        return environment.get_template("card_index.html.j2").render(index=self) + "\n"

    def to_json(self) -> str:
        """Return the content of `cards.json`."""
        content = {
            "format": "rramfit card index 1",
            "title": self.title,
            "cards": [entry.to_json() for entry in self.cards],
            "problems": list(self.problems),
        }
        return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def index_cards(folder: Path, site: Path, *, title: str) -> CardIndex:
    """Read all cards in a folder and its subfolders.

    Parameters
    ----------
    folder : Path
        Hidden files and folders are left out.
    site : Path
        Folder of the page, from which it links to the cards.
    title : str
    """
    entries, problems = [], []
    for path in _candidates(folder):
        found = card_problems(path)
        if found:
            problems.append(str(found[0]))
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RramfitWarning)  # unknown fields of a newer minor
            card = load_card(path)
        relative = os.path.relpath(path.resolve(), site.resolve())
        entries.append(CardEntry(card=card, file=Path(relative).as_posix()))
    entries.sort(key=lambda e: (e.card.name.lower(), e.card.revision, e.file))
    return CardIndex(title=title, cards=tuple(entries), problems=tuple(problems))


def publish_cards(folder: Path, site: Path, *, title: str = "Model cards") -> CardIndex:
    """Write `index.html` and `cards.json` of all cards in a folder, and return the index.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    index = index_cards(folder, site, title=title)
    for name, text in (("cards.json", index.to_json()), ("index.html", index.to_html())):
        with atomic_file(site / name) as beside:
            beside.write_text(text, encoding="utf-8")
    return index


def _candidates(folder: Path) -> Iterator[Path]:
    """Iterate over the JSON files of a folder that have a schema version, in order."""
    for path in sorted(folder.rglob("*.json")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or not path.is_file() or path.stat().st_size > _LARGEST:
            continue
        if path.name.endswith(".card.json") or '"schema_version"' in _head(path):
            yield path


def _head(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _capacity(q: Quantity | None) -> str | None:
    return None if q is None else capacity(q).value_with_unit


def _shown(q: Quantity | None) -> str | None:
    return None if q is None else with_unit(q.value, q.unit, digits=4)


def _levels(card: ModelCard) -> str | None:
    values = sorted(x.mean.value for x in card.levels if x.mean is not None)
    if not values:
        return None
    ends = " to ".join(with_unit(x, "S", digits=3) for x in (values[0], values[-1]))
    ratio = f", ratio {values[-1] / values[0]:.3g}" if values[0] > 0 and len(values) > 1 else ""
    return (
        f"{len(card.levels)}: {ends}{ratio}" if len(values) > 1 else f"1: {ends.split(' to ')[0]}"
    )
