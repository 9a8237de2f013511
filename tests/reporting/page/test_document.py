"""The structure of reports, independent of their content."""

from __future__ import annotations

import pytest

from rramfit.errors import RramfitError
from rramfit.reporting import (
    Column,
    Facts,
    KeyFigure,
    KeyFigures,
    Note,
    Prose,
    Report,
    Section,
    Table,
    figure,
)


def line(ax):
    ax.plot([0.0, 1.0], [0.0, 1.0])


def report(**changes) -> Report:
    blocks = (
        Prose(paragraphs=("a & b",), heading="Words"),
        Note(text="note", remedy="do this", tone="bad"),
        KeyFigures(items=(KeyFigure(label="Levels", value="4"),)),
        Facts(items=(("Seed", "3"),)),
        Table(caption="Numbers", columns=(Column("x", numeric=False),), rows=(("1",),)),
        figure(line, key="line", title="A line", caption="It rises."),
    )
    fields = {"title": "Any <report>", "sections": (Section(key="s", title="S", blocks=blocks),)}
    return Report(**{**fields, **changes})


def test_every_block_is_on_the_page_and_text_is_escaped():
    page = report().to_html()
    assert "Any &lt;report&gt;" in page
    assert "a &amp; b" in page
    for text in ("do this", "✕ bad", "Levels", "Seed", "Numbers", "It rises."):
        assert text in page


def test_a_key_used_twice_is_an_error_with_its_name():
    section = Section(key="levels", title="Levels", blocks=())
    with pytest.raises(RramfitError, match="levels"):
        Report(title="r", sections=(section, section))


def test_a_section_cannot_use_an_anchor_of_the_page():
    with pytest.raises(RramfitError, match="summary"):
        Report(title="r", sections=(Section(key="summary", title="S", blocks=()),))


def test_a_row_of_the_wrong_length_is_an_error():
    with pytest.raises(RramfitError, match="2 cells; expected 1"):
        Table(caption="t", columns=(Column("x"),), rows=(("1", "2"),))


def test_the_saved_file_is_the_page(tmp_path):
    r = report()
    r.save(tmp_path / "deep" / "r.html")
    assert (tmp_path / "deep" / "r.html").read_text(encoding="utf-8") == r.to_html()
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["r.html"]
