"""`rramfit array` and `rramfit measurement plan-lines`: currents, reports, errors."""

import json
import re

import numpy as np
import pytest

from rramfit.card import save_card, seal
from rramfit.card.quantity import Quantity
from rramfit.card.schema import LineCard
from rramfit.measurement import Instrument, synthesize, write_measurement
from rramfit.measurement.virtual.cards import random_card

ROWS, COLS = 12, 10


@pytest.fixture(scope="module")
def card():
    made = random_card(5, levels=2, array=(ROWS, COLS))
    line = LineCard(
        wordline_resistance=Quantity.given(4.0, "ohm"),
        bitline_resistance=Quantity.given(3.0, "ohm"),
        driver_resistance=Quantity.given(50.0, "ohm"),
        sense_resistance=Quantity.given(20.0, "ohm"),
        inactive_rows="grounded",
    )
    return seal(made.model_copy(update={"line": line}))


@pytest.fixture(scope="module")
def folder(card, tmp_path_factory):
    """The card, a noiseless chip drawn from it, and matrices."""
    out = tmp_path_factory.mktemp("array")
    save_card(card, out / "chip.card.json")
    save_card(seal(card.model_copy(update={"line": None})), out / "bare.card.json")
    exact = Instrument(current_noise=0.0, cell_read_noise=0.0)
    measured = synthesize(card, sweeps=2, seed=2, groups=("program", "mvm"), instrument=exact)
    write_measurement(measured, out / "chip.h5")
    write_measurement(synthesize(card, sweeps=2, seed=2), out / "no_mvm.h5")
    np.savetxt(out / "one.csv", [[10.0]], delimiter=",")
    np.save(out / "g.npy", np.random.default_rng(3).choice([10.0, 100.0, 200.0], (5, 4)))
    (out / "nan.csv").write_text("1,2\n3,nan\n")
    (out / "words.csv").write_text("1,2\n3,four\n")
    return out


def printed_json(result):
    """The JSON object that a command printed, after it succeeded."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_one_cell_is_three_resistors_in_series(folder, run):
    wires = ("--r-driver", 300, "--r-sense", 700, "--read-voltage", 0.5)
    out = printed_json(
        run("array", "solve", folder / "one.csv", "--unit", "kohm", *wires, "--json")
    )
    assert out["column_current"] == [[pytest.approx(0.5 / 11e3, rel=1e-12)]]
    assert out["ideal_current"] == [[pytest.approx(0.5 / 10e3, rel=1e-12)]]
    assert out["lost"]["mean"] == pytest.approx(1 / 11, rel=1e-9)


def test_no_wires_is_a_matrix_product(folder, run, tmp_path):
    v = np.array([[0.1, 0.0, 0.3, 0.2, 0.0], [0.0, 0.1, 0.1, 0.0, 0.2]])
    np.savetxt(tmp_path / "v.tsv", v, delimiter="\t")
    arguments = (folder / "g.npy", "--unit", "uS", "--r-wl", 0, "--input", tmp_path / "v.tsv")
    out = printed_json(run("array", "solve", *arguments, "--json"))
    np.testing.assert_allclose(out["column_current"], v @ np.load(folder / "g.npy") * 1e-6)
    assert out["lost"]["worst"] == pytest.approx(0, abs=1e-12)


def test_no_current_flows_beyond_a_broken_wordline(folder, run):
    arguments = (folder / "g.npy", "--unit", "uS", "--r-wl", 1, "--drive", "row:2")
    out = printed_json(run("array", "solve", *arguments, "--broken-wl", 2, 2, "--json"))
    current = np.array(out["column_current"][0])
    assert (current[:2] > 1e-7).all()
    assert np.abs(current[2:]).max() < 1e-12 * current.max()
    assert set(out["certificates"]) == {"anchored"}


def test_a_measurement_with_the_true_wires_gives_the_measured_currents(folder, card, run):
    arguments = (folder / "chip.h5", "--wires", folder / "chip.card.json", "--json")
    out = printed_json(run("array", "solve", *arguments))
    measured = synthesize(
        card,
        sweeps=2,
        seed=2,
        groups=("program", "mvm"),
        instrument=Instrument(current_noise=0.0, cell_read_noise=0.0),
    ).mvm
    largest = np.abs(measured.current).max()  # the file holds float32
    np.testing.assert_allclose(
        out["column_current"], measured.current, atol=1e-6 * largest
    )  # files hold float32
    assert out["line"]["r_driver"] == 50.0


def test_without_wires_they_are_fitted_to_the_measured_currents(folder, run):
    known = printed_json(
        run("array", "solve", folder / "chip.h5", "--wires", folder / "chip.card.json", "--json")
    )
    fitted = run("array", "solve", folder / "chip.h5", "--json")
    assert "fitting the wire resistances" in fitted.stderr
    assert printed_json(fitted)["lost"]["mean"] == pytest.approx(known["lost"]["mean"], rel=0.05)


def test_a_chip_is_drawn_from_the_seed_with_the_given_pattern(folder, card, run):
    def solved(*more):
        return printed_json(run("array", "solve", folder / "chip.card.json", *more, "--json"))

    first, again, other = solved(), solved(), solved("--seed", 1)
    assert first["column_current"] == again["column_current"] != other["column_current"]
    low, high, board = (
        np.median(solved("--r-wl", 0, "--pattern", p)["ideal_current"])
        for p in ("level:0", "level:1", "checkerboard")
    )
    assert low < board < high
    expected = 0.2 * ROWS * card.levels[1].mean.value
    assert high == pytest.approx(expected, rel=0.3)
    assert len(solved("--rows", 6, "--cols", 3)["column_current"][0]) == 3


def test_the_report_shows_maps_and_is_reproducible(folder, run, tmp_path):
    pages = [tmp_path / name for name in ("a.html", "b.html")]
    for page in pages:
        result = run(
            "array",
            "solve",
            folder / "chip.card.json",
            "--drive",
            "half",
            "-o",
            page,
            "--vector",
            2,
        )
        assert result.exit_code == 0, result.output
        assert str(page) in result.stdout
        assert re.search(r"lost to IR drop: \d", result.stdout)
        assert "anchored estimate: rms" in result.stdout
    text = pages[0].read_text(encoding="utf-8")
    assert text == pages[1].read_text(encoding="utf-8")
    for key in ("wordline", "bitline", "lost-current", "columns"):
        assert f'id="fig-{key}"' in text
    assert text.count("data:image/png") >= 6
    assert "input 2, with" in text


def test_compare_runs_every_solver(folder, run):
    arguments = (folder / "chip.card.json", "--drive", "half", "--vectors", 3)
    out = printed_json(run("array", "compare", *arguments, "--json"))
    by = {r["solver"]: r for r in out["solvers"]}
    assert list(by) == [
        "exact",
        "exact, float32",
        "iterative",
        "closed form αβ",
        "anchored estimate",
        "smooth estimate",
    ]
    assert by["iterative"]["rms_percent_of_mean"] < 1e-7  # residual 1e-11
    assert by["exact, float32"]["rms_percent_of_mean"] < 1e-2
    closed, anchored = (
        by[k]["rms_percent_of_mean"] for k in ("closed form αβ", "anchored estimate")
    )
    assert 0 < anchored < closed
    assert by["anchored estimate"]["setup_s"] > 0
    shown = run("array", "compare", *arguments)
    assert "iterations" in shown.stdout
    broken = printed_json(run("array", "compare", *arguments, "--broken-bl", 1, 1, "--json"))
    assert "closed form αβ" not in {r["solver"] for r in broken["solvers"]}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("g.npy", "--r-wl", 1), 2, "Add --unit"),
        (("g.npy", "--unit", "uS"), 2, "g.npy has no wire resistances"),
        (("bare.card.json",), 2, "bare.card.json has no wire resistances"),
        (("chip.card.json", "--pattern", "level:7"), 2, "level:0 to level:1"),
        (("chip.card.json", "--drive", "row:12"), 2, "row:0 to row:11"),
        (("chip.card.json", "--vector", 1), 2, "there is 1 input"),
        (("chip.card.json", "--input", "one.csv"), 2, "has 1 voltage per line"),
        (("chip.card.json", "--broken-wl", 20, 0), 3, "outside an array"),
        (("nan.csv", "--unit", "uS", "--r-wl", 1), 3, "with 1 number not finite"),
        (("words.csv", "--unit", "uS", "--r-wl", 1), 3, "a matrix of numbers"),
        (("no_mvm.h5",), 3, "/mvm"),
    ],
)
def test_an_unsolvable_problem_is_an_error(folder, run, monkeypatch, arguments, code, message):
    monkeypatch.chdir(folder)
    result = run("array", "solve", *arguments)
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_planned_patterns_are_written_and_can_be_solved(folder, run, tmp_path):
    patterns = tmp_path / "patterns.csv"
    want = ("--want", "driver=20", "--want", "wordline=2", "--most", 16)
    arguments = ("measurement", "plan-lines", folder / "chip.card.json", *want)
    out = printed_json(run(*arguments, "-o", patterns, "--json"))
    assert out["met"]
    assert out["stderr"]["driver_resistance"] <= 20
    written = np.loadtxt(patterns, delimiter=",")
    np.testing.assert_allclose(written, out["voltage"])
    assert written.shape == (out["patterns"], ROWS)
    solved = printed_json(
        run("array", "solve", folder / "chip.card.json", "--input", patterns, "--json")
    )
    assert solved["vectors"] == out["patterns"]
    shown = run(*arguments)
    assert "the wanted standard errors are reached" in shown.stdout
    assert "random half" in shown.stdout


def test_exit_code_4_if_no_plan_suffices_and_2_for_invalid_options(folder, run):
    arguments = ("measurement", "plan-lines", folder / "chip.card.json", "--most", 4)
    short = run(*arguments, "--want", "sense=1e-6")
    assert short.exit_code == 4
    assert "the wanted standard errors are not reached" in short.stdout
    for bad in ("sense", "sense=-1", "selector=3"):
        assert run(*arguments, "--want", bad).exit_code == 2
    assert run(*arguments, "--want", "sense=1", "--ends", "both").exit_code == 2
