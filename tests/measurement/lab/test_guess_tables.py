"""Drafts for tables as instruments and people write them: other words, labels, wide columns."""

import numpy as np
import pytest


def rows(head, lines, separator=","):
    return "\n".join([head, *(separator.join(map(str, line)) for line in lines)]) + "\n"


def test_a_column_of_overflow_markers_is_no_reading(imported):
    """A SourceMeter writes 9.91e37 into the resistance that it did not compute."""
    volts = np.r_[np.linspace(0, 1, 21), np.linspace(1, 0, 21)]
    lines = [
        (f"{v:+.6E}", f"{v * 1e-5:+.6E}", "+9.910000E+37", 0.1 * i) for i, v in enumerate(volts)
    ]
    m, text, _ = imported(rows("VOLT,CURR,RES,TIME", lines))
    assert m.iv.current.shape == (1, 42)
    assert "not used: RES (only overflow markers, as in 9.91e+37)" in text


@pytest.mark.parametrize(("unit", "targets"), [("uS", (10, 40, 90)), ("kohm", (100, 25, 10))])
def test_a_column_of_targets_states_the_levels(imported, unit, targets):
    cells = [(r, c, targets[(r + c) % 3]) for r in range(6) for c in range(6)]
    lines = [(r, c, t, t * (1 + 0.01 * r)) for r, c, t in cells]
    m, text, _ = imported(rows(f"Row,Col,Target ({unit}),Read ({unit})", lines))
    expected = [10e-6, 40e-6, 90e-6] if unit == "uS" else [1e-5, 4e-5, 1e-4]
    np.testing.assert_allclose(m.levels.target, expected)
    assert m.program.read_all().level[0, 0, :3].tolist() == [0, 1, 2]
    assert "not used" not in text


def test_words_of_other_languages_and_decimal_commas(imported):
    lines = [(r, c, f"{11 + r + c / 8:.3f}".replace(".", ",")) for r in range(8) for c in range(8)]
    m, _, _ = imported(rows("Zeile;Spalte;Widerstand [kOhm]", lines, ";"))
    assert m.program.shape == (1, 8, 8)
    assert m.program.read_all().conductance[0, 0, 0] == pytest.approx(1e-3 / 11)


def test_rows_and_columns_without_a_known_name(imported):
    lines = [(r, c, 1e-5 * (1 + r + c)) for r in range(5) for c in range(7)]
    m, text, _ = imported(rows("linje,kolonne,G (S)", lines))
    assert m.program.shape == (1, 5, 7)
    assert "linje and kolonne fill a grid" in text


def test_lines_named_by_a_text_with_a_number(imported):
    lines = [(f"WL{r}", f"BL{c}", 10 + r + c / 10) for r in range(10) for c in range(10)]
    m, text, _ = imported(rows("WL;BL;R (kohm)", lines, ";"))
    assert 'numbered = ["WL", "BL"]' in text
    assert m.program.read_all().conductance[0, 9, 0] == pytest.approx(1e-3 / 19)


def test_pulses_of_one_device(imported):
    lines = [(k, 10 + k, "SET") for k in range(8)] + [(k, 18 - k, "RESET") for k in range(8)]
    m, _, _ = imported(rows("Pulse #,Conductance (uS),Type", lines))
    assert m.pulses.polarity.ravel().tolist() == [1] * 8 + [-1] * 8


def test_a_map_with_labels(imported):
    values = 50 + np.arange(12 * 16).reshape(12, 16) / 100
    for first in (0, 1):
        head = "," + ",".join(str(c + first) for c in range(16))
        lines = [(r + first, *values[r]) for r in range(12)]
        m, text, _ = imported(rows(head, lines))
        assert "the labels of the matrix" in text
        np.testing.assert_allclose(m.program.read_all().conductance[0], values * 1e-6, rtol=1e-6)


def test_cycles_in_columns(imported):
    lines = [(f"0x{a:03x}", *(20_000 + a + 100 * n for n in range(4))) for a in range(64)]
    m, _, _ = imported(rows("addr,cyc1,cyc2,cyc3,cyc4", lines))
    assert m.program.shape[0] == 4
    assert m.program.read_all().conductance[3, 0, 0] == pytest.approx(1 / 20_300)


def test_devices_in_columns_over_time(imported):
    lines = [(t, *(g * (1 - t / 1e6) for g in (1e-4, 1.1e-4, 5e-6, 6e-6))) for t in (1, 100, 1e4)]
    m, _, _ = imported(rows("Time (s),LRS_1 (S),LRS_2 (S),HRS_1 (S),HRS_2 (S)", lines))
    assert m.retention.time.tolist() == [1, 100, 1e4]
    assert np.sort(m.retention.read_all()[0].ravel()) == pytest.approx(
        [5e-6, 6e-6, 1e-4, 1.1e-4], rel=1e-4
    )


def test_names_of_devices_in_front_of_their_sweeps(imported):
    lines = [(f"D{n}", *(50 + n + s for s in range(3))) for n in range(6)]
    m, _, _ = imported(rows("Device,sweep 1 (uS),sweep 2 (uS),sweep 3 (uS)", lines))
    assert m.program.shape[0] == 3
    assert np.isfinite(m.program.read_all().conductance).sum() == 18


def test_a_unit_and_a_read_voltage_in_the_settings(imported):
    values = [[f"{10.03 + r + c / 9:.2f}".replace(".", ",") for c in range(12)] for r in range(12)]
    text = rows("# one read at 0,3 V, conductance in uS", values, ";")
    m, draft, _ = imported(text)
    assert m.program.read_all().conductance[0, 0, 0] == pytest.approx(10.03e-6)
    assert m.program.read_voltage == 0.3
    assert "CHECK: the median" not in draft


def test_a_map_of_tens_without_a_unit_is_in_microsiemens(imported):
    values = [[10 + r + c for c in range(12)] for r in range(12)]
    lines = "\n".join(",".join(map(str, line)) for line in values)
    m, draft, _ = imported(lines + "\n")
    assert m.program.read_all().conductance[0, 0, 0] == pytest.approx(10e-6)
    assert "CHECK: the median 21 fits uS" in draft


def test_a_part_of_an_array_is_not_renumbered(imported):
    cells = [(r, c) for r in (3, 4) for c in (5, 6)]
    lines = [(r, c, v / 10, v) for r, c in cells for v in range(-3, 4)]
    m, draft, _ = imported(rows("Row,Col,V (V),I (uA)", lines))
    assert 'row = "Row"' in draft
    assert m.rows > 4
