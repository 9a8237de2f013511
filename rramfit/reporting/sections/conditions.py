"""Section on the conditions of an accuracy: warnings, all settings, every help with its cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rramfit.reporting.page.document import Column, Note, Prose, Section, Table

if TYPE_CHECKING:
    from rramfit.mapping.study.conditions import Conditions

__all__ = ["condition_sections"]

_HELPS = (
    "What a chip is assumed to have or to know. Writes and reads are those of one chip, once; "
    "operations are digital multiplications and additions of one inference. `rramfit ablate "
    "--helps` shows what each help is worth."
)


def condition_sections(conditions: Conditions) -> tuple[Section, ...]:
    """Return the section with warnings, settings and helps."""
    notes = tuple(Note(text=w, label="Warning", tone="warning") for w in conditions.warnings)
    settings = Table(
        caption="Conditions",
        columns=(Column("condition", numeric=False), Column("value", numeric=False)),
        rows=tuple((name, str(value)) for name, value in conditions.values.items()),
    )
    helps = Table(
        caption="Helps",
        columns=(
            *(Column(n, numeric=False) for n in ("help", "on", "as", "left out by")),
            *map(Column, ("writes", "reads", "operations")),
        ),
        rows=tuple(
            (
                h.name,
                "yes" if h.on else "no",
                h.state,
                h.option,
                *(f"{n:,}" if n else "–" for n in (h.writes, h.reads, h.operations)),
            )
            for h in conditions.helps
        ),
    )
    return (
        Section(
            key="conditions",
            title="Conditions",
            blocks=(*notes, settings, Prose(paragraphs=(_HELPS,)), helps),
        ),
    )
