"""Lots: variation of parameters over chips, outliers, and the report."""

import hashlib
import html
import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from rramfit.card import Quantity, save_card, seal
from rramfit.card.schema import Distribution
from rramfit.errors import InputError, RramfitError
from rramfit.measurement.virtual.cards import random_card
from rramfit.reporting.lots import LotTable, Row, lot_report, plan_tasks, row_of_card
from rramfit.reporting.lots.compare import DEFAULT_YIELD, LotYield, YieldLimit
from rramfit.reporting.lots.compare.outliers import FALSE_ALARM, outliers_of
from rramfit.reporting.lots.lot import write_lot_page
from rramfit.reporting.lots.spool import RowSpool, write_csv
from rramfit_cli.main import cli

CARD = random_card(3, levels=2, array=(16, 16))
PLACE = "levels[0].mean"


def with_stuck(name, low, levels=CARD.levels):
    """Return a card with an estimated share of cells stuck low, and none stuck otherwise."""
    none = Quantity.estimated(0.0, 1e-4, "1")
    stuck = CARD.stuck.model_copy(
        update={"low": Quantity.estimated(low, 0.0015, "1"), "high": none, "middle": none}
    )
    return seal(CARD.model_copy(update={"name": name, "stuck": stuck, "levels": levels}))


def row_of(name, mean, stderr=0.1e-6, distribution=None):
    """Return the row of a chip whose card has this mean and this distribution of level 0."""
    level = CARD.levels[0].model_copy(
        update={
            "mean": Quantity.estimated(mean, stderr, "S"),
            "distribution": distribution,
        }
    )
    card = seal(CARD.model_copy(update={"name": name, "levels": [level, *CARD.levels[1:]]}))
    return row_of_card(card, f"lab/{name}.h5", report=False)


def table_of(rows, folder):
    """Return lot.csv as a table."""
    write_csv(lambda: rows, folder / "lot.csv")
    return pd.read_csv(folder / "lot.csv")


@pytest.fixture
def lot():
    """Return eight chips near 40 uS, the sixth at 46 uS, and a rejected file."""
    means = 40e-6 + 1e-6 * np.array([-0.8, 0.3, 0.9, -0.2, 0.5, 6.0, -0.6, 0.1])
    found = [row_of(f"die{i}", mean) for i, mean in enumerate(means)]
    refused = Row(
        file="lab/broken.h5", name="broken", verdict="refused", problem="broken.h5: no HDF5"
    )
    return means, [*found[:3], refused, *found[3:]]


def test_spread_between_chips_excludes_the_standard_errors(lot):
    means, outcomes = lot
    row = LotTable.of(outcomes).spread_frame().loc[PLACE]
    assert row["chips"] == 8
    assert row["median"] == pytest.approx(np.median(means), rel=1e-12)
    assert row["std"] == pytest.approx(np.std(means, ddof=1), rel=1e-12)
    assert row["within"] == pytest.approx(0.1e-6, rel=1e-12)
    assert row["between"] == pytest.approx(np.sqrt(np.var(means, ddof=1) - 1e-14), rel=1e-12)


def test_only_the_outlier_is_named(lot):
    _, outcomes = lot
    assert LotTable.of(outcomes).spread_frame().loc[PLACE, "outliers"] == ("die5",)
    page = lot_report(LotTable.of(outcomes)).to_html()
    assert re.search(r"Outliers in \d+ parameters: die5 in 1\.", page)
    assert "no HDF5" in page


def test_a_difference_within_the_standard_errors_is_not_an_outlier(tmp_path):
    means = [40e-6] * 5 + [42e-6]
    outcomes = [row_of(f"die{i}", m, stderr=1e-6) for i, m in enumerate(means)]
    row = LotTable.of(outcomes).spread_frame().loc[PLACE]
    assert row["outliers"] == ()
    assert row["between"] == 0.0


def test_distributions_are_compared_within_their_family(tmp_path):
    def distribution(family, **parameters):
        return Distribution(
            family=family,
            parameters={k: Quantity.estimated(v, 0.01 * v, "S") for k, v in parameters.items()},
            alternatives=[],
        )

    distributions = [
        distribution("gamma", shape=50.0, scale=1e-6),
        distribution("gamma", shape=51.0, scale=1e-6),
        distribution("weibull", shape=2.0, scale=4e-5),
    ]
    outcomes = [row_of(f"die{i}", 40e-6, distribution=x) for i, x in enumerate(distributions)]
    table = LotTable.of(outcomes)
    shared = table.shared()
    place = "levels[0].distribution.parameters.shape"
    assert table.names(shared[f"{place} (gamma)"]) == ["die0", "die1"]
    assert f"{place} (weibull)" not in shared
    families = table_of(outcomes, tmp_path)["levels[0].distribution.family"]
    assert list(families) == ["gamma", "gamma", "weibull"]


def test_a_rejected_file_keeps_its_place_in_the_table(lot, tmp_path):
    _, outcomes = lot
    table = table_of(outcomes, tmp_path)
    assert list(table["name"]) == [o.name for o in outcomes]
    row = table.iloc[3]
    assert (row["verdict"], row["problem"]) == ("refused", "broken.h5: no HDF5")
    assert np.isnan(row[PLACE])


def test_the_report_is_complete_and_deterministic(lot, tmp_path):
    _, outcomes = lot
    for folder in ("a", "b"):
        with RowSpool(tmp_path / folder) as rows:
            for at, row in enumerate(outcomes):
                rows.add(at, [row])
            write_csv(lambda rows=rows: rows, tmp_path / folder / "lot.csv")
            write_lot_page(rows, tmp_path / folder)
    for name in ("lot.csv", "lot.html"):
        first, second = ((tmp_path / folder / name).read_bytes() for folder in ("a", "b"))
        assert first == second
    page = (tmp_path / "a/lot.html").read_text()
    assert page.count("<svg") >= 1
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_the_report_states_that_there_is_nothing_to_compare(lot):
    _, outcomes = lot
    assert "nothing to compare" in lot_report(LotTable.of(outcomes[2:4])).to_html()


def test_one_name_for_two_files_is_an_error(tmp_path):
    with pytest.raises(InputError, match="mit the name"):
        plan_tasks([tmp_path / "a.h5", tmp_path / "b.h5"], output=tmp_path, name="x")


@pytest.mark.parametrize("arrays", [4, 15, 60])
def test_the_false_alarm_rate_of_outliers_is_the_stated_one(arrays):
    rng = np.random.default_rng(arrays)
    lots = rng.standard_normal((2000, arrays))
    alarms = sum(outliers_of(values, np.zeros(arrays)).any() for values in lots)
    assert alarms <= 2000 * FALSE_ALARM + 4 * np.sqrt(2000 * FALSE_ALARM)


def test_two_outliers_do_not_hide_each_other():
    values = np.append(np.random.default_rng(1).standard_normal(18), [9.0, 9.5])
    assert list(np.flatnonzero(outliers_of(values, np.zeros(20)))) == [18, 19]


def test_two_chips_that_differ_are_not_called_equal():
    cards = [with_stuck("tile0", 649 / 16384), with_stuck("tile1", 241 / 16384)]
    page = lot_report(LotTable.of(row_of_card(c, "lot.h5", report=False) for c in cards)).to_html()
    assert re.search(
        r"differ beyond their standard errors in 1 of \d+\s+parameters \(stuck.low", page
    )
    assert "No chip is an outlier" not in page
    assert re.search(r"in the middle is 4\s%, in tile0\.", page)


def test_yield_has_a_stated_criterion():
    cards = [with_stuck(f"die{i}", low) for i, low in enumerate((0.004, 0.009, 0.02))]
    rows = [row_of_card(card, "die.h5", report=False) for card in cards]
    for texts, good in (
        ((), 2),
        (("stuck<=3%",), 3),
        (("stuck<=0.005",), 1),
        (("stuck<=3%", f"{PLACE}>=1 S"), 0),
        (("stuck>=0.9%", "stuck.low<=1 %"), 1),
    ):
        limits = tuple(map(YieldLimit.parse, texts)) or DEFAULT_YIELD
        page = html.unescape(lot_report(LotTable.of(rows, limits)).to_html())
        said = " and ".join(map(str, limits))
        if f"{PLACE}>=1 S" in texts:  # given, not estimated: not a parameter of these cards
            assert f"Yield at {said}: not known" in page
        else:
            assert f"Yield at {said}: {good} of 3" in page
        assert f"--yield-at '{said.split(' and ', maxsplit=1)[0]}'" in page


def test_the_yield_criterion_can_be_given_when_lots_are_merged(tmp_path):
    for i, low in enumerate((0.004, 0.009, 0.02)):
        save_card(with_stuck(f"die{i}", low), tmp_path / f"in/die{i}.card.json")

    def merge(*options):
        folders = [str(tmp_path / "in"), "-o", str(tmp_path / "out")]
        return CliRunner().invoke(cli, ["lot", "merge", *folders, *options])

    assert "Yield at stuck<=0.01: 2 of 3 arrays (66.7 %)." in merge().output
    limits = ["--yield-at", "stuck<=0.5 %", "--yield-at", "stuck.low>=0"]
    found = json.loads(merge(*limits, "--json").output)["yield"]
    assert found == {
        "criterion": "stuck<=0.005 and stuck.low>=0",
        "good": 1,
        "bad": 2,
        "unknown": 0,
        "without_card": 0,
    }
    page = html.unescape((tmp_path / "out/lot.html").read_text())
    assert "Yield at stuck<=0.005 and stuck.low>=0: 1 of 3" in page
    refused = merge("--yield-at", "stuck<2")
    assert refused.exit_code == 2
    assert "expected PARAMETER<=VALUE" in refused.output


def test_arrays_of_unknown_yield_are_counted_apart(lot):
    _, outcomes = lot
    of_lot = LotYield((YieldLimit.parse(f"{PLACE}<=42uS"),))
    found = [of_lot.add(row) for row in [*outcomes, replace(outcomes[0], estimates={})]]
    assert found.count(True) == 7
    assert found.count(False) == 1  # die5, at 46 uS
    assert (of_lot.unknown, of_lot.without_card) == (1, 1)
    assert "7 of 8 arrays" in of_lot.text
    assert "1 more array" in of_lot.text


@pytest.mark.parametrize(
    "text",
    ["", "stuck", "stuck<1%", "stuck<=", "stuck<=nan", "stuck<=2furlong", "a b<=1", "x<=1e999"],
)
def test_a_limit_that_is_none_is_an_error(text):
    with pytest.raises(RramfitError, match="found"):
        YieldLimit.parse(text)


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("levels[1].std <= 2 µS", "levels[1].std<=2uS"),
        ("line.wordline_resistance≥1.5kΩ", "line.wordline_resistance>=1.5kohm"),
        ("stuck<=5e-3", "stuck<=0.005"),
        ("stuck.low<=0.25 %", "stuck.low<=0.0025"),
        ("iv.nonlinearity>=-2", "iv.nonlinearity>=-2"),
    ],
)
def test_a_limit_is_printed_as_it_can_be_given(text, again):
    limit = YieldLimit.parse(text)
    assert str(limit) == again
    assert str(YieldLimit.parse(str(limit))) == again


def test_the_page_says_what_it_was_made_from(lot):
    _, outcomes = lot
    rows = [
        replace(row, inputs=[[f"{row.name}.h5", f"{i:064x}"]], seed=7, time=f"2026-02-0{i + 1}")
        for i, row in enumerate(outcomes)
    ]
    page = html.unescape(lot_report(LotTable.of(rows)).to_html())
    listed = "".join(f"{i:064x}  {r.name}.h5\n" for i, r in enumerate(rows) if r.has_card)
    assert hashlib.sha256(listed.encode()).hexdigest() in page
    assert "rramfit characterize FILE… --seed 7 --yield-at 'stuck<=0.01'" in page
    assert "2026-02-09 (newest input)" in page
    assert "1\N{NO-BREAK SPACE}more file could not be used" in page
    assert '<a href="lot.csv">' in page
    assert '<a href="die0.card.json">JSON</a>' in page


def test_levels_are_compared_within_arrays_that_have_the_same():
    scaled = [
        level.model_copy(
            update={
                "target": level.target
                and level.target.model_copy(update={"value": level.target.value * 4}),
                "mean": Quantity.estimated(level.mean.value * 4, 0.1e-6, "S"),
            }
        )
        for level in CARD.levels
    ]
    cards = [with_stuck(f"die{i}", 0.01) for i in range(4)]
    cards += [with_stuck(f"x{i}", 0.01, scaled) for i in range(3)]
    level = CARD.levels[0].model_copy(
        update={"mean": Quantity.estimated(CARD.levels[0].mean.value, 0.1e-6, "S")}
    )
    cards[:4] = [seal(c.model_copy(update={"levels": [level, *c.levels[1:]]})) for c in cards[:4]]
    rows = [row_of_card(card, "x.h5", report=False) for card in cards]
    table = LotTable.of(Row.from_json(row.to_json()) for row in rows)
    assert [arrays for _, arrays in table.level_sets] == [4, 3]
    shared = table.shared()
    assert table.names(shared[f"{PLACE} (levels B)"]) == ["x0", "x1", "x2"]
    assert len(shared["stuck.low"]) == 7
    assert "Arrays with other levels are compared by themselves" in lot_report(table).to_html()


def test_a_chip_links_to_its_report(lot):
    _, outcomes = lot
    row = replace(outcomes[0], report="a b#1.report.html")
    page = lot_report(LotTable.of([row, *outcomes[1:]])).to_html()
    assert '<a href="a%20b%231.report.html">die0</a>' in page
