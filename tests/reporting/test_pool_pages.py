"""Pages of pools and trends: every number of them is that of the pool or the trend."""

import html
import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from rramfit.card import Quantity, save_card, seal
from rramfit.fitting.pooling import pool_cards
from rramfit.fitting.pooling.trend import trend_of
from rramfit.measurement.virtual.cards import random_card
from rramfit.reporting.page.origin import PageOrigin, with_origin
from rramfit.reporting.page.wording import with_interval, with_unit
from rramfit.reporting.pooling import pool_report, trend_report
from rramfit_cli.main import cli

MEAN = "levels[1].mean"


def arrays(count=24, *, wafers=3, step=0.0, seed=0):
    """Return cards of wafers that differ; the mean of level 1 steps up after two thirds."""
    base = random_card(3, levels=2, array=(16, 16))
    rng = np.random.default_rng(seed)
    of_wafer = rng.normal(0, 2e-6, wafers)
    out = []
    for i in range(count):
        value = base.levels[1].mean.value + of_wafer[i % wafers] + rng.normal(0, 1e-6)
        value += step * (i >= 2 * count // 3)
        mean = Quantity.estimated(value, 3e-7, "S")
        changed = {
            "name": f"a{i}",
            "levels": [base.levels[0], base.levels[1].model_copy(update={"mean": mean})],
            "array": base.array.model_copy(
                update={"wafer": f"W{i % wafers}", "die_x": i // wafers // 2, "die_y": 0}
            ),
            "provenance": base.provenance.model_copy(
                update={"time": f"2026-01-{1 + i:02d}T00:00:00Z", "time_source": "measured"}
            ),
        }
        out.append(seal(base.model_copy(update=changed)))
    return out


def page_of(report):
    return html.unescape(report.to_html())


def test_the_page_of_a_pool_has_components_estimates_and_predictions():
    pool = pool_cards(arrays())
    p = pool.parameters[MEAN]
    page = page_of(pool_report(pool))
    assert [c.name for c in p.components] == ["array", "die", "wafer"]
    for c in p.components:
        of = Quantity.within(c.std, (c.high - c.low) / 4, p.unit, (c.low, c.high))
        assert with_interval(of) in page
    for found in (p.new_array, *p.known["wafer"], *p.known["die"]):
        low, high = (with_unit(x, "S") for x in (found.low, found.high))
        assert f"{found.where}</th>" in page
        assert f"{low} to {high}" in page
    for card, shrunk in zip(pool.cards, p.shrunk, strict=True):
        assert re.search(rf">{card.name}</th>.*{with_unit(float(shrunk), 'S', digits=4)}", page)
    figures = [b for s in pool_report(pool).sections for b in s.blocks if b.kind == "figure"]
    data = json.loads(next(f.data for f in figures if f.choice == MEAN))
    assert data["x"]["names"] == [card.name for card in pool.cards]
    estimates = next(s for s in data["series"] if s["name"] == "estimate")
    assert estimates["y"] == pytest.approx(1e6 * p.value, rel=1e-4)


def test_an_array_that_the_others_do_not_predict_is_named():
    cards = arrays()
    assert "No array is an outlier." in page_of(pool_report(pool_cards(cards)))
    far = Quantity.estimated(cards[7].levels[1].mean.value + 3e-5, 3e-7, "S")
    levels = [cards[7].levels[0], cards[7].levels[1].model_copy(update={"mean": far})]
    cards[7] = seal(cards[7].model_copy(update={"levels": levels}))
    assert "The others do not predict a7." in page_of(pool_report(pool_cards(cards)))


@pytest.mark.parametrize("step", [0.0, 2e-5])
def test_the_page_of_a_trend_shows_what_passes_its_limits_first(step):
    trend = trend_of(arrays(step=step))
    report = trend_report(trend)
    page = page_of(report)
    assert trend.summary in page
    charts = next(s for s in report.sections if s.key == "charts").blocks
    assert {c.choice for c in charts} == set(trend.parameters)
    assert bool(trend.out) == ("Past the limits</h2>" in page)
    if step:
        assert charts[0].choice == MEAN
        past = next(s for s in json.loads(charts[0].data)["series"] if s["name"] == "past a limit")
        names = json.loads(charts[0].data)["x"]["names"]
        assert [names[int(x)] for x in past["x"]] == trend.out[MEAN]
        assert with_unit(trend.parameters[MEAN].centre, "S") in page
    else:
        assert not trend.out


def test_many_arrays_have_no_labels_but_names():
    trend = trend_of(arrays(60, wafers=2))
    chart = next(s for s in trend_report(trend).sections if s.key == "charts").blocks[0]
    assert ">a7<" not in chart.svg
    assert "a7" in json.loads(chart.data)["x"]["names"]


def test_origin_names_all_that_a_page_was_made_from():
    origin = PageOrigin(
        command="rramfit evaluate vgg5",
        inputs=[(f"c{i}.json", f"sha256:{i:064x}") for i in range(1200)],
        time="2026-01-01T00:00:00Z",
        seed="3",
        checkpoint=("net.pt", "f" * 64),
    )
    page = page_of(with_origin(trend_report(trend_of(arrays())), origin))
    for text in ("rramfit evaluate vgg5", "2026-01-01T00:00:00Z", f"net.pt, sha256 {'f' * 64}"):
        assert text in page
    assert "1,200\N{NO-BREAK SPACE}files, sha256 of their list" in page
    assert "the first 1,000" in page
    assert "c999.json" in page
    assert "c1000.json" not in page


@pytest.mark.parametrize("command", ["pool", "trend"])
def test_commands_write_pages_with_their_origin(tmp_path, command):
    def run(*arguments):
        return CliRunner().invoke(cli, [str(x) for x in arguments])

    paths = [tmp_path / f"{card.name}.card.json" for card in arrays(12)]
    for card, path in zip(arrays(12), paths, strict=True):
        save_card(card, path)
    pages = []
    for name in ("a.html", "b.html"):
        done = run("card", command, *paths, "--html", tmp_path / name)
        assert done.exit_code in (0, 4), done.stderr
        pages.append((tmp_path / name).read_bytes())
    assert pages[0] == pages[1]
    page = html.unescape(pages[0].decode())
    assert f"rramfit card {command} FILE… --seed 0<" in page
    assert "2026-01-12T00:00:00Z (measured)" in page
    assert "12\N{NO-BREAK SPACE}files, sha256 of their list" in page
    assert "a0.card.json" in page
    other = tmp_path / "notes.html"
    other.write_text("mine")
    assert run("card", command, *paths, "--html", other).exit_code not in (0, 4)
    assert other.read_text() == "mine"
