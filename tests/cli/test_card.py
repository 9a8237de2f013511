"""`rramfit card`: show, validate, compare, export, take."""

import json
import sys

import pandas as pd
import pytest

from rramfit.card import Quantity, canonical_json, load_card, quantities, save_card, seal
from rramfit.card.schema import LineOffsets
from rramfit.measurement.virtual.cards import random_card
from rramfit.reporting.page.wording import with_unit
from rramfit_cli.console import console


@pytest.fixture
def path(tmp_path):
    save_card(random_card(1), tmp_path / "a.card.json")
    return tmp_path / "a.card.json"


def test_show_lists_every_parameter(path, run):
    shown = run("card", "show", path)
    assert shown.exit_code == 0
    for name, _ in quantities(load_card(path)):
        assert name in shown.stdout
    assert json.loads(run("card", "show", path, "--json").stdout) == json.loads(path.read_text())


def test_show_names_line_offsets_and_their_correlation(run, tmp_path):
    card = random_card(1, levels=2)
    std = Quantity.estimated(1.5e-6, 1e-7, "S", scale="log")
    lines = [LineOffsets(axis="col", period=4, std=std, p_value=1e-30)]
    variation = [v.model_copy(update={"lines": lines}) for v in card.variation]
    found = {"variation": variation, "line_correlation": [[1.0, 0.75], [0.75, 1.0]]}
    save_card(seal(card.model_copy(update=found)), tmp_path / "a.card.json")
    shown = run("card", "show", tmp_path / "a.card.json").stdout
    assert shown.replace("\N{NO-BREAK SPACE}", " ").count("column, rows equal modulo 4") == 2
    names = [level.name for level in card.levels]
    assert f"Correlation of {names[0]} and {names[1]}: 0.75" in shown


def test_show_lists_the_deviation_between_arrays_where_it_is_known(path, run, tmp_path):
    assert "between arrays" not in run("card", "show", path).stdout
    card = load_card(path)
    mean = card.levels[0].mean.model_copy(update={"between": 57e-9})
    levels = [card.levels[0].model_copy(update={"mean": mean}), *card.levels[1:]]
    save_card(seal(card.model_copy(update={"levels": levels})), tmp_path / "b.card.json")
    shown = run("card", "show", tmp_path / "b.card.json").stdout
    row = next(x for x in shown.splitlines() if x.startswith("levels[0].mean"))
    assert "between arrays" in shown
    assert row.rstrip().endswith("57\N{NO-BREAK SPACE}nS")


def test_names_are_not_interpreted_as_markup(run, tmp_path):
    card = random_card(1)
    array = card.array.model_copy(update={"id": "[bold]x[/red] [/]"})
    save_card(seal(card.model_copy(update={"array": array})), tmp_path / "a.card.json")
    shown = run("card", "show", tmp_path / "a.card.json")
    assert shown.exit_code == 0
    assert "[bold]x[/red] [/]" in shown.stdout


def test_validate_lists_problems_and_exits_3(path, run, tmp_path):
    assert run("card", "validate", path).exit_code == 0
    bad = tmp_path / "bad.card.json"
    bad.write_text(path.read_text().replace('"revision": "1.0.0"', '"revision": "one"'))
    result = run("card", "validate", path, bad, "--json")
    assert result.exit_code == 3
    found = json.loads(result.stdout)
    assert not found["ok"]
    assert found["files"][str(path)] == []
    assert "revision" in found["files"][str(bad)][0]


def test_a_damaged_card_is_rejected_without_a_traceback(run, tmp_path):
    bad = tmp_path / "bad.card.json"
    bad.write_text("{")
    result = run("card", "show", bad)
    assert result.exit_code == 3
    assert "one JSON document" in result.stderr


def test_schema_is_a_draft_2020_12_schema(run):
    schema = json.loads(run("card", "schema").stdout)
    assert schema["$schema"].endswith("2020-12/schema")
    assert run("card", "schema").stdout == canonical_json(schema)


def test_compare_exits_4_if_a_parameter_differs(path, run, tmp_path):
    assert run("card", "compare", path, path).exit_code == 0
    card = load_card(path)
    level = card.levels[0].model_copy(update={"mean": Quantity.given(1e-3, "S")})
    other = tmp_path / "b.card.json"
    save_card(seal(card.model_copy(update={"levels": [level, *card.levels[1:]]})), other)
    result = run("card", "compare", path, other, "--json")
    assert result.exit_code == 4
    found = json.loads(result.stdout)["parameters"]
    assert [name for name, x in found.items() if x["differs"]] == ["levels[0].mean"]


def test_given_numbers_are_compared_as_given_in_the_units_of_show(path, run, tmp_path):
    card = load_card(path)
    target = Quantity.given(2 * card.levels[0].target.value, "S")
    level = card.levels[0].model_copy(update={"target": target})
    other = tmp_path / "b.card.json"
    save_card(seal(card.model_copy(update={"levels": [level, *card.levels[1:]]})), other)
    shown = run("card", "compare", path, other)
    assert shown.exit_code == 4
    (line,) = (x for x in shown.stdout.splitlines() if x.startswith("levels[0].target"))
    assert f"{with_unit(target.value, 'S', digits=4)} " in line
    assert "given, not estimated: differs" in line
    assert "inf" not in shown.stdout
    assert "1 of" in shown.stdout
    printed = json.loads(run("card", "compare", path, other, "--json").stdout)["parameters"]
    assert printed["levels[0].target"]["t"] is None
    assert printed["levels[0].target"]["differs"]


def test_export_writes_every_parameter(path, run, tmp_path):
    assert run("card", "export", path, "-o", tmp_path / "a.csv").exit_code == 0
    table = pd.read_csv(tmp_path / "a.csv")
    assert list(table["parameter"]) == [name for name, _ in quantities(load_card(path))]
    assert run("card", "export", path, "-o", tmp_path / "a.xls").exit_code == 2
    refused = run("card", "export", path, "-o", path / "a.csv")
    assert refused.exit_code == 2
    assert "cannot write" in refused.stderr


def test_a_closed_standard_output_causes_no_traceback(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    console().print("text")


def test_take_writes_a_card_of_some_levels(path, run, tmp_path):
    out = tmp_path / "two.card.json"
    assert run("card", "take", path, "--levels", "0,2", "--name", "two", "-o", out).exit_code == 0
    taken, card = load_card(out), load_card(path)
    assert taken.name == "two"
    assert [level.name for level in taken.levels] == [card.levels[k].name for k in (0, 2)]
    assert run("card", "take", path, "--levels", "0,9", "-o", out).exit_code == 3
    assert run("card", "take", path, "--levels", "all", "-o", out).exit_code == 2


def test_pool_writes_a_card_and_tables(run, tmp_path):
    paths, base = [], random_card(1)
    for i in range(4):
        mean = Quantity.estimated(base.levels[0].mean.value + i * 1e-7, 1e-7, "S")
        levels = [base.levels[0].model_copy(update={"mean": mean}), *base.levels[1:]]
        paths.append(tmp_path / f"a{i}.card.json")
        changed = {"name": f"a{i}", "levels": levels}
        save_card(seal(base.model_copy(update=changed)), paths[-1])
    identity = tmp_path / "identity.csv"
    identity.write_text("name,wafer\na0,W1\na1,W1\na2,W2\na3,W2\n")
    out = tmp_path / "pooled.card.json"
    done = run(
        "card", "pool", *paths, "--identity", identity, "-o", out, "--tables", tmp_path / "t"
    )
    assert done.exit_code == 0, done.output
    assert "std between wafers" in done.stdout
    assert any(q.between is not None for _, q in quantities(load_card(out)))
    table = pd.read_csv(tmp_path / "t" / "arrays.csv")
    assert set(table["card"]) == {"a0", "a1", "a2", "a3"}
    found = json.loads(run("card", "pool", *paths, "--json").stdout)
    assert found["parameters"]["levels[0].mean"]["cards"] == 4
    identity.write_text("chip,wafer\na0,W1\n")
    refused = run("card", "pool", *paths, "--identity", identity)
    assert refused.exit_code == 3
    assert "name" in refused.stderr


def test_trend_exits_with_4_past_a_limit(run, tmp_path):
    paths, base = [], random_card(1)
    for i in range(12):
        factor = 1.0 if i < 8 else 1.2
        mean = base.levels[0].mean
        mean = Quantity.estimated(mean.value * factor, mean.value * 1e-3, "S")
        levels = [base.levels[0].model_copy(update={"mean": mean}), *base.levels[1:]]
        time = f"2026-02-{i + 1:02d}T00:00:00+00:00"
        provenance = base.provenance.model_copy(update={"time": time})
        changed = {"name": f"a{i}", "levels": levels, "provenance": provenance}
        paths.append(tmp_path / f"a{i}.card.json")
        save_card(seal(base.model_copy(update=changed)), paths[-1])
    moved = run("card", "trend", *paths, "--baseline", 8, "-o", tmp_path / "trend.csv")
    assert moved.exit_code == 4
    assert "levels[0].mean" in moved.stdout
    assert pd.read_csv(tmp_path / "trend.csv")["out"].any()
    assert run("card", "trend", *paths[:8]).exit_code == 0
    assert run("card", "trend", *paths[:4]).exit_code == 3
