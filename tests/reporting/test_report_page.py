"""The report of a characterization as a page: complete, self-contained and accessible."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from rramfit.card import quantities
from rramfit.reporting import report_characterization, save_report
from rramfit.reporting.page.wording import format_quantity_parts

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Outline(HTMLParser):
    """Checks that tags nest, and collects tags, attributes and table rows."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> without a start tag"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data

    def values(self, name: str) -> list[str]:
        return [a[name] for _, a in self.tags if a.get(name)]


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


@pytest.fixture(scope="module")
def tree(page) -> Outline:
    return outline(page)


def test_the_page_loads_nothing_and_runs_its_own_script_only(page, tree):
    scripts = [a for tag, a in tree.tags if tag == "script"]
    assert [a for a in scripts if a.get("type") != "application/json"] == [{}]
    assert (
        page.count((files("rramfit.reporting.page") / "templates/figures.js").read_text().strip())
        == 1
    )
    for tag, attributes in tree.tags:
        assert tag not in ("iframe", "object", "embed", "base")
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "srcset", "data", "action", "xlink:href"):
            link = attributes.get(name) or "#"
            assert link.startswith(("#", "data:")), (tag, link)
    assert "http" not in page
    assert "@import" not in page
    assert not re.findall(r"url\((?!#)", page)


def test_ids_are_unique_and_every_link_has_a_target(tree):
    ids = tree.values("id")
    assert len(ids) == len(set(ids))
    links = {h[1:] for h in tree.values("href") if h.startswith("#")}
    labels = {i for text in tree.values("aria-labelledby") for i in text.split()}
    assert links | labels <= set(ids)


def test_every_number_of_the_card_is_in_a_table(chip, tree):
    rows = {row[0]: row[1:] for row in tree.rows}
    found = list(quantities(chip.card))
    assert len(found) > 80
    for path, q in found:
        f = format_quantity_parts(q)
        assert rows[path] == [f.value_with_unit, f.interval or "given", f.stderr or "–"]


def test_tables_have_captions_and_header_cells(page, tree):
    headers = [a for tag, a in tree.tags if tag == "th"]
    assert {a["scope"] for a in headers} == {"col", "row"}
    tags = [tag for tag, _ in tree.tags]
    assert tags.count("caption") == tags.count("table") > 10
    regions = [a for _, a in tree.tags if a.get("role") == "region"]
    assert all(a.get("aria-label") and a.get("tabindex") == "0" for a in regions)


def test_every_figure_is_described(tree):
    tags = [tag for tag, _ in tree.tags]
    assert tags.count("svg") == tags.count("figure") == tags.count("desc") > 15
    assert tags.count("figcaption") == tags.count("figure")
    drawings = [a for tag, a in tree.tags if tag == "svg"]
    assert all(a["role"] == "img" and a["aria-labelledby"] for a in drawings)


def test_the_page_has_styles_for_dark_print_and_phone(page, tree):
    assert "@media (prefers-color-scheme: dark)" in page
    assert "@media print" in page
    metas = {a["name"]: a["content"] for tag, a in tree.tags if tag == "meta" and "name" in a}
    assert metas["viewport"].startswith("width=device-width")
    assert [a["lang"] for tag, a in tree.tags if tag == "html"] == ["en"]


def test_heading_levels_do_not_skip(tree):
    levels = [int(tag[1]) for tag, _ in tree.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_identity_findings_and_provenance_are_on_the_page(chip, page):
    card = chip.card
    for text in (
        "lot7/die&lt;3&gt;",
        card.digest,
        card.provenance.time,
        card.provenance.inputs[0].sha256,
        "is &lt;below&gt; one step of the converter",
        "Use a finer range.",
        f"{card.name} {card.revision}",
    ):
        assert text in page


def test_only_severe_findings_are_called_bad(page):
    notes = re.findall(r'<div class="note (\w+)">.*?<p>(.*?)</p>', page, re.DOTALL)
    tones = {text.split(" <span")[0]: tone for tone, text in notes}
    assert tones["<strong>Retention</strong> Half of the cells collapsed."] == "bad"
    assert tones["<strong>Retention</strong> There are only 2 read times."] == "warning"


def test_findings_are_ranked_and_the_summary_shows_only_the_first(page):
    lead, sections = page.split('<nav class="contents"')
    notes = re.findall(r'<div class="note (?:bad|warning)">.*?<p>(.*?)</p>', sections, re.DOTALL)
    texts = [text.split(" <span")[0] for text in notes]
    assert [text.replace("</strong>", "").removeprefix("<strong>") for text in texts[:3]] == [
        "Retention Half of the cells collapsed.",
        "Variation The read noise at L0 is &lt;below&gt; one step of the converter.",
        "Retention There are only 2 read times.",
    ]
    assert lead.count("Half of the cells collapsed.") == 1
    assert page.count("Half of the cells collapsed.") == 2
    assert "There are only 2 read times." not in lead
    assert "2\xa0more findings are listed under Findings and remedies." in lead


def test_a_finding_names_its_code_in_the_documentation(chip_maker, repo):
    from rramfit.fitting.results.result import Finding
    from rramfit.reporting.sections.quality import findings_section

    finding = Finding("6 cells", "measure more", code="retention-few-cells")
    section = findings_section(chip_maker(groups=()).card, [("retention", finding)])
    assert section.blocks[0].code == "retention-few-cells"
    assert "### retention-few-cells" in (repo / "docs/reference/findings.md").read_text()


def test_bytes_are_the_same_every_time(chip_maker, page):
    assert report_characterization(chip_maker()) == page


def test_a_missing_group_has_one_line_and_no_section(chip_maker):
    page = report_characterization(chip_maker(groups=("iv",)))
    tree = outline(page)
    ids = set(tree.values("id"))
    assert {"iv", "missing", "levels"} <= ids
    assert not ids & {"retention", "read-noise", "endurance", "wires", "readout"}
    assert page.count("The file has no /reads. Read programmed cells many times in a row.") == 1


def test_the_page_of_many_levels_stays_small(chip_maker):
    page = report_characterization(chip_maker(levels=40, sweeps=1, groups=()))
    tree = outline(page)
    assert [tag for tag, _ in tree.tags].count("svg") < 30
    assert len(page) < 2.5e6
    assert "fig-level-ladder" in tree.values("id")


def test_a_file_with_only_retention_has_a_report(chip_maker, tmp_path):
    chip = chip_maker(groups=("retention",))
    empty = {"levels": [], "variation": [], "failure": [], "stuck": None, "bits_per_cell": None}
    chip.card = chip.card.model_copy(update={**empty, "variation_correlation": None})
    chip.statistics = None
    save_report(chip, tmp_path / "r.html")
    tree = outline((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "retention" in tree.values("id")
    assert "levels" not in tree.values("id")
