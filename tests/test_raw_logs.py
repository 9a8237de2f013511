"""Raw logs of real chips, converted with the project's layouts and characterized."""

import pytest

from rramfit.fitting.characterization import characterize
from rramfit.measurement import convert_measurement

MLC, CHIP = "stanford-mlc", "stanford-256x256"


@pytest.fixture
def characterized(shared, repo):
    """Return a function that characterizes the first measurement in logs."""

    def work(layout, folder, *names):
        logs = [shared / "data/measured" / folder / name for name in names]
        conversion = convert_measurement(logs, repo / "data/layouts" / f"{layout}.toml")
        return characterize(conversion.measurements[0], name=layout)

    return work


def findings(result, fit):
    return " ".join(result.card.quality.fits[fit].findings)


def test_program_and_verify_of_a_full_chip(characterized):
    found = characterized("C10_dead_test", MLC, "C10_dead_test.csv.gz")
    assert found.card.quality.verdict == "warning"
    (failure,) = found.card.failure
    assert failure.probability.value == pytest.approx(649 / 16384, abs=1e-4)
    assert found.card.stuck.low.value + found.card.stuck.high.value == pytest.approx(
        failure.probability.value, abs=0.002
    )
    mean = found.card.levels[0].mean.value
    assert 1 / 11e3 < mean < 1 / 10e3
    assert "folded columns" in findings(found, "failure")


@pytest.mark.parametrize("stage", ["fresh", "formed"])
def test_a_chip_in_one_state(characterized, stage):
    found = characterized(f"C1_read_{stage}", CHIP, f"C1_read_{stage}.tsv.gz")
    assert found.card.quality.verdict == "warning"
    assert len(found.card.levels) == 1
    assert "only one state" in findings(found, "blind_levels")
    assert not found.card.failure  # acceptance is not known


def test_a_chip_in_two_unknown_states(characterized):
    found = characterized("C1_read_3", CHIP, "C1_read_3.tsv.gz")
    assert found.card.quality.verdict == "warning"
    low, high = (level.mean.value for level in found.card.levels)
    assert low < 10e-6 < 60e-6 < high
    assert high == pytest.approx(1 / 12.5e3, rel=0.05)
    assert "2 states" in findings(found, "blind_levels")
    assert found.cells.certainty.shape == (128, 128)
    assert (found.cells.certainty > 0.99).mean() > 0.99


def test_levels_programmed_in_sequence(characterized):
    found = characterized("13scheme_test", MLC, "13scheme_test_100_24_8_Dec10.tsv.gz")
    assert found.card.quality.verdict == "warning"
    assert len(found.card.levels) == 8
    assert found.card.retention is not None
    assert [f.n_attempts for f in found.card.failure] == [100] * 8
    assert "65436 of 65536 cells were not measured" in findings(found, "screening")


def test_cells_without_coordinates(characterized):
    found = characterized("relaxdata", "relaxation-techC", "relaxdata.min.tsv.gz")
    assert found.card.quality.verdict == "warning"
    assert found.card.domain.longest_time.value == pytest.approx(1e5, rel=0.05)
    assert sum(level.mean is not None for level in found.card.levels) >= 32
    assert "negative" not in found.card.quality.summary


def test_a_failed_bake_is_reported(characterized):
    found = characterized("bake85", MLC, "prebake85.tsv.gz", "postbake85.tsv.gz")
    assert found.card.quality.verdict == "bad"
    assert "49.9 % of the conducting cells collapsed" in findings(found, "diagnostics")
    assert "collapsed" in findings(found, "retention")


def test_a_good_bake_is_not_reported(characterized):
    found = characterized("bake110", MLC, "prebake110.tsv.gz", "postbake110.tsv.gz")
    assert found.card.quality.verdict == "warning"
    text = findings(found, "diagnostics") + findings(found, "retention")
    assert "collapse" not in text
    assert "fell below" not in text


@pytest.mark.parametrize(
    ("layout", "folder", "offset"),
    [("read_multivolt", CHIP, -2.0e-6), ("read_voltage_sweep", MLC, 0.6e-6)],
)
def test_an_instrument_offset_is_found(characterized, layout, folder, offset):
    found = characterized(layout, folder, f"{layout}.tsv.gz")
    assert found.card.quality.verdict == "warning"
    assert "offset of the instrument" in findings(found, "diagnostics")
    assert found.iv.result["offset"] == pytest.approx(offset, rel=0.05)


def test_one_cell_read_ten_thousand_times(characterized):
    found = characterized("ret1", CHIP, "ret1.csv.gz")
    assert found.card.quality.verdict == "warning"
    assert found.card.read_noise.coefficient.value == pytest.approx(0.017, rel=0.01)
    assert "Only 1 cell was read" in findings(found, "read_noise")
