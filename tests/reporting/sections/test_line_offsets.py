"""The section on line offsets: text from the card, figures from the measurement."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rramfit.card import Quantity
from rramfit.card.schema import LineOffsets
from rramfit.reporting import report_from_data
from rramfit.reporting.page.document import Figure, Note, Prose, Table
from rramfit.reporting.page.line_wording import line_correlations, line_paragraphs, line_summary
from rramfit.reporting.page.wording import with_interval
from rramfit.reporting.report_data.report_data import ReportData
from rramfit.reporting.sections.line_offsets import line_offsets_section


def offsets(axis: str, period: int, size: float, p_value: float = 1e-20) -> LineOffsets:
    std = Quantity.estimated(size, 0.05 * size, "S", scale="log")
    return LineOffsets(axis=axis, period=period, std=std, p_value=p_value)


def with_lines(chip, lines: dict[int, list[LineOffsets]], correlation=None) -> ReportData:
    """Return the report data of `chip` with line offsets at some levels."""
    variation = [v.model_copy(update={"lines": lines.get(v.level)}) for v in chip.card.variation]
    card = chip.card.model_copy(update={"variation": variation, "line_correlation": correlation})
    field = np.zeros(chip.cells.offset.shape)
    field[:, :, ::2] = 1e-6
    return ReportData(
        card=card,
        measurement=chip.measurement,
        statistics=chip.statistics,
        cells=dataclasses.replace(chip.cells, line_offset=field),
    )


def words(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def size(x: float) -> str:
    return words(with_interval(offsets("col", 1, x).std))


def test_a_folded_line_is_explained_to_a_test_engineer(chip_maker):
    data = with_lines(chip_maker(levels=1), {0: [offsets("col", 4, 1.5e-6)]})
    first = words(line_paragraphs(data.card)[0])
    assert first == (
        "The cells of one column whose rows are equal modulo 4 share an offset whose standard "
        f"deviation is {size(1.5e-6)}. Such a pattern comes from multiplexers, from sense "
        "amplifiers shared by every 4th row, or from programming 4 rows at a time."
    )


def test_the_same_lines_at_several_levels_are_one_paragraph(chip):
    lines = {
        0: [offsets("row", 1, 1e-7)],
        1: [offsets("row", 1, 3e-7), offsets("row", 3, 8e-7)],
        2: [offsets("row", 1, 9e-7)],
    }
    paragraphs = [words(x) for x in line_paragraphs(with_lines(chip, lines).card)]
    assert len(paragraphs) == 3
    assert paragraphs[0].startswith("All cells of one row share an offset")
    assert f"{size(1e-7)} at L0 to {size(9e-7)} at L2." in paragraphs[0]
    assert "row whose columns are equal modulo 3" in paragraphs[1]
    assert f"{size(8e-7)} at L1." in paragraphs[1]
    assert "every 3rd column" in paragraphs[1]
    summary = words(line_summary(with_lines(chip, lines).card))
    assert f"up to {size(9e-7)} for whole rows and {size(8e-7)} for the cells of one row" in summary


def test_lines_at_some_levels_only_are_counted(chip_maker):
    chip = chip_maker(levels=5, groups=())
    lines = {k: [offsets("col", 1, (k + 1) * 1e-7)] for k in (0, 2, 4)}
    text = words(line_paragraphs(with_lines(chip, lines).card)[0])
    assert f"{size(1e-7)} at L0 to {size(5e-7)} at L4, at 3 of 5 levels." in text


def test_the_section_has_text_figures_and_a_table_of_all_levels(chip):
    lines = {
        0: [offsets("col", 4, 3e-7), offsets("col", 1, 2e-7)],
        2: [offsets("col", 1, 7e-7), offsets("row", 1, 2e-7, 0.0004)],
    }
    section = line_offsets_section(with_lines(chip, lines))
    keys = [b.key for b in section.blocks if isinstance(b, Figure)]
    assert keys == [
        "fig-line-profile-column-0",
        "fig-line-profile-row-0",
        "fig-line-profile-column-2",
        "fig-line-profile-row-2",
        "fig-periodogram-row",
        "fig-periodogram-column",
        "fig-folded-column-4-0",
    ]
    assert isinstance(section.blocks[0], Prose)
    table = next(b for b in section.blocks if isinstance(b, Table))
    assert [(row[0], words(row[1])) for row in table.rows] == [
        ("L0", "column, rows equal modulo 4"),
        ("L0", "column"),
        ("L2", "column"),
        ("L2", "row"),
    ]
    assert [row[-1] for row in table.rows] == ["< 1e\N{MINUS SIGN}12"] * 3 + ["0.0004"]
    share = (3e-7 / chip.card.levels[0].std.value) ** 2
    assert table.rows[0][3] == f"{100 * share:.2g}\N{NO-BREAK SPACE}%"
    figures = {b.key: b.svg for b in section.blocks if isinstance(b, Figure)}
    assert ">period 4<" in figures["fig-periodogram-row"]
    assert "whole columns" in figures["fig-periodogram-row"]
    assert "whole rows" in figures["fig-periodogram-column"]
    assert ">period " not in figures["fig-periodogram-column"]


def test_a_card_and_its_sidecar_have_text_and_tables_only(chip):
    data = with_lines(chip, {1: [offsets("row", 2, 1e-6)]})
    section = line_offsets_section(dataclasses.replace(data, statistics=None))
    assert [type(b) for b in section.blocks] == [Prose, Table]
    bare = dataclasses.replace(chip.cells, line_offset=None)
    without = dataclasses.replace(data, cells=bare)
    assert [type(b) for b in line_offsets_section(without).blocks] == [Prose, Table]


def test_without_line_offsets_there_is_no_section(chip):
    data = with_lines(chip, {})
    assert line_offsets_section(data) is None
    assert "line-offsets" not in [s.key for s in report_from_data(data).sections]
    assert line_summary(data.card) == ""


def test_of_many_levels_only_three_are_drawn(chip_maker):
    chip = chip_maker(levels=9, sweeps=1, groups=())
    lines = {k: [offsets("col", 1, 1e-7)] for k in range(9)}
    section = line_offsets_section(with_lines(chip, lines))
    profiles = [b.key for b in section.blocks if isinstance(b, Figure) and "profile" in b.key]
    assert [key[-1] for key in profiles] == ["0", "0", "4", "4", "8", "8"]
    assert len(next(b for b in section.blocks if isinstance(b, Table)).rows) == 9


def test_the_profiles_replace_the_trends_where_every_level_has_them(chip):
    def trends(lines) -> int:
        page = report_from_data(with_lines(chip, lines)).to_html()
        return page.count('id="fig-trend-')

    every = {k: [offsets("col", 1, 1e-6)] for k in range(3)}
    assert trends({}) == trends({1: every[1]}) > 0
    assert trends(every) == 0


CORRELATED = [[1.0, 0.9, 0.0], [0.9, 1.0, -0.2], [0.0, -0.2, 1.0]]


def test_only_levels_with_lines_of_one_kind_are_correlated(chip):
    lines = {
        0: [offsets("col", 1, 1e-6), offsets("col", 4, 1e-6)],
        1: [offsets("col", 4, 1e-6), offsets("row", 1, 1e-6)],
        2: [offsets("row", 1, 1e-6)],
    }
    pairs = line_correlations(with_lines(chip, lines, CORRELATED).card)
    assert [(p.first, p.second, p.correlation) for p in pairs] == [(0, 1, 0.9), (1, 2, -0.2)]
    section = line_offsets_section(with_lines(chip, lines, CORRELATED))
    drawn = next(b for b in section.blocks if getattr(b, "key", "") == "fig-line-correlation")
    assert drawn.svg.count(">0.90<") == 2
    assert "nan" not in drawn.svg


def test_one_pair_of_levels_is_a_sentence(chip):
    lines = {1: [offsets("row", 1, 1e-6)], 2: [offsets("row", 1, 1e-6)]}
    section = line_offsets_section(with_lines(chip, lines, CORRELATED))
    note = next(b for b in section.blocks if isinstance(b, Note))
    assert note.text == "The line offsets of L1 and L2 have a correlation of \N{MINUS SIGN}0.20."


@pytest.mark.parametrize("shape", [(1, 12), (12, 1), (3, 3)])
def test_small_arrays_have_a_section(chip_maker, shape):
    chip = chip_maker(rows=shape[0], cols=shape[1], levels=1, groups=())
    section = line_offsets_section(with_lines(chip, {0: [offsets("col", 2, 1e-6)]}))
    assert section is not None
