"""Logs as laboratories and their programs write them, imported by their own drafts."""

import base64
import re
import zlib

import numpy as np
import pytest

from rramfit.errors import MeasurementError
from rramfit.measurement import guess_layout

ROW, COL = np.divmod(np.arange(12), 4)
OHM = 9000.0 + 137 * np.arange(12)
_XLS = (  # sheets Data (Time, AnodeI, AnodeV, RES with an error), Calc and Settings
    "c-rk)O-"
    "NKx6h8O8H$R$=qiLjx3`$mN3k#}^j%F$aiGO57P)~itFw+?0R8&xwO*<i|P0=F5O&hC4f22?Z(IQf65d^}F?UJCN"
    "sD=7E_q_XZv@sk|(RgRL=bn4+Ip4cK=broKjgDkS`yb@RU=CG+4AXiF*yD5zON!ZW1NQ4W7tPv<MYm{GQHm2c(r$"
    "xi>2Dl-5BYw_K!W?q3*-RfSPsJpXy^)Ro@J!nGzOLNF;p-+#-4-`c?-"
    "D<a%p5)#5;(uC4P^rhlp2^rjK|9+D6$S81Xig>=KcDP%5N87jg!V$>$?!${`0{^GLpMl^M1+s1Etmz{>0>P|{!ka"
    "PR81pcYaCQOL$k9DpCX2jIJTTAzC?{qpJ=p#Ilvy(5ACnxp{qfPR$mK#V{dxD?)_z#cWM^7fG3XxFHLjtJ)6uMQ*"
    "GwrJt7FL<nb5^DJVQ$g2O-"
    "*F8+s)Jpf+FnyQAOkelwqSQrb8Q_a@m8%n>}gQR)OV_=ysA8vXLrg5?pfI&olZy^@=nMgIg`$b8;3A?_uISu?Ty|"
    "er0Jm>z_=$i@@at%7r6&IyQs$o##8`G$fK0_B|_amavt$)w8Xl&F-Hh>y<~HldW-Qn+lk(LH^s@DQI1SBJt>HM@@"
    "_$Sus(J+d+>v|9}4l_>O_D3>xD8_#%|u=^wewCOyrX>;<<n27N_JEW7oxHm;qCeN@6B)qs3Q;{b@;Jt&En8Em>f("
    "IaueVRMHvtGOiaRtl0XUZ=3Q@Rv7*9c#QBAfhQ%vlL*ft@Qj`7`||Mi&sU?B!!%!xS4viQu5dh#Bqu<U$!3i}k_l"
    ";F)Z=g479%8?kXp#<<=AzBq$EI6$R<M|DTK7OCVygl$7e!P2<e=$5~ul?Dy1xV#HWHeeTEh<T4CO3ouSnht+Zyab"
    "Za*M38%}6Y**_EmlB?E+pH6A|K}Q8WRXP{S!B^lCnj!dS-"
    "h9q#5;jQeAk)6GHrb(`ERKiy6_jqKc%%0#5x3Ll8T>oU}Gj0TcD5my^vEIK0O3}Xs2=bla60}r(^N+S+Jvf@s3ck"
    "&!0|aoJ;)t-%C0~%K"
)


def lines(*texts):
    """Return a log of the texts of each cell, joined row by row."""
    return "".join(f"{line}\n" for line in texts)


def each(form):
    """Return a line for each cell."""
    return [form.format(row=r, col=c, ohm=o) for r, c, o in zip(ROW, COL, OHM, strict=True)]


@pytest.fixture
def resistances(imported):
    """Return a function that imports a log, and returns the resistances of its 12 cells."""

    def run(content, **options):
        m, text, conversion = imported(content, **options)
        assert (m.rows, m.cols) == (3, 4)
        return 1 / m.program.read_all().conductance[0].ravel(), text, conversion

    return run


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lines("row,col,R", *each("{row},{col},{ohm:.1f} ohm")), id="unit in cells"),
        pytest.param(
            lines("row;col;I;V", *(f"{r};{c};{200 / o:.8f} mA;0,2 V".replace(".", ",")
                                   for r, c, o in zip(ROW, COL, OHM, strict=True))),
            id="current with unit, decimal comma",
        ),
        pytest.param(
            lines("row,col,R", *(f"{r},{c},{o} ohm" if r else f"{r},{c},{o / 1e3} kΩ"
                                 for r, c, o in zip(ROW, COL, OHM, strict=True))),
            id="ranges of the instrument in one column",
        ),
        pytest.param(
            lines(*(f"{r:5d}{c:5d}  {o / 1e5:.6f}D+05"
                    for r, c, o in zip(ROW, COL, OHM, strict=True))),
            id="exponents of Fortran",
        ),
        pytest.param(
            lines('"row" "col" "R_ohm"', *(f'"{k + 1}" {x}'
                                           for k, x in enumerate(each("{row} {col} {ohm}")))),
            id="row names of R",
        ),
        pytest.param(
            lines("行\t列\t抵抗 (Ω)", *each("{row}\t{col}\t{ohm}")), id="Japanese header"
        ),
        pytest.param(
            lines("# 測定日", "row,col,R (ohm)", *each("{row},{col},{ohm}")).encode("shift_jis"),
            id="Japanese comment in another encoding",
        ),
        pytest.param(
            lines("Mode,Single,", "Stop,0.5,", "Averages,3,", "Points,12,", "row,col,R_ohm",
                  *each("{row},{col},{ohm}")),
            id="settings with as many fields as the rows",
        ),
        pytest.param(
            lines("row,col,R_ohm", *(f"{r + 1},{c},{o}"
                                     for r, c, o in zip(ROW, COL, OHM, strict=True))),
            id="rows from 1, columns from 0",
        ),
        pytest.param(
            lines("row,col,R_ohm,PASS", *each("{row},{col},{ohm},P")[:-1],
                  f"2,3,{OHM[-1]},F"),
            id="P and F",
        ),
    ],
)  # fmt: skip
def test_one_reading_of_each_cell(resistances, content):
    found, _, conversion = resistances(content)
    np.testing.assert_allclose(found, OHM, rtol=1e-4)
    assert conversion.bad == ()


def test_another_quantity_among_units_is_a_bad_row(resistances):
    """A field of another quantity, or without unit, is not used."""
    rows = each("{row},{col},{ohm} ohm")
    rows[3], rows[5] = "0,3,12 uA", "1,1,77"
    found, _, conversion = resistances(lines("row,col,R", *rows * 4))
    assert np.isnan(found[[3, 5]]).all()
    (bad,) = conversion.bad
    assert (bad.reason, len(bad.lines)) == ("R is not a number", 8)


def test_words_of_an_instrument_are_listed(resistances):
    rows = each("{row},{col},{ohm}")
    rows[2], rows[4], rows[7] = "0,2,Overflow", "1,0,---", "1,3,9.91E+37"
    found, _, conversion = resistances(lines("row,col,R_ohm", *rows))
    assert np.flatnonzero(np.isnan(found)).tolist() == [2, 4, 7]
    assert {b.reason: b.lines for b in conversion.bad} == {
        "R is not a number": (4,),
        "R is an overflow marker": (9,),
    }


@pytest.mark.parametrize(
    ("header", "form", "checked"),
    [
        ("timestamp", "%Y-%m-%d %H:%M:%S", False),
        ("timestamp", "%Y-%m-%dT%H:%M:%S.%f", False),
        ("Date,Time", "%d.%m.%Y,%H:%M:%S", False),
        ("Date,Time", "%m/%d/%Y,%I:%M:%S %p", True),
    ],
)
def test_dates_are_times(imported, header, form, checked):
    """The third hour is past noon, and the last reading on the next day."""
    from datetime import datetime, timedelta

    start = datetime(2026, 3, 2, 10, 30)
    hours = (0, 1, 3, 20)
    rows = [
        f"{(start + timedelta(hours=h)).strftime(form)},{cell},{o + h}"
        for h in hours
        for cell, o in enumerate(OHM)
    ]
    m, text, conversion = imported(lines(f"{header},cell,R (ohm)", *rows))
    assert conversion.bad == ()
    assert m.retention.time.tolist() == [h * 3600 for h in hours]
    np.testing.assert_allclose(1 / m.retention.read_all()[2].ravel(), OHM + 3)
    assert ("the other way round" in text) is checked


def test_a_row_of_summaries_is_no_reading(imported):
    v = np.arange(6) / 10
    sweep = [f"{k + 1},{x},{x / 1e4}" for k, x in enumerate(v)]
    content = lines("Index,Voltage (V),Current (A)", *sweep, "", "Min,0,0", "Mean,0.25,2.5e-5")
    m, _, conversion = imported(content)
    np.testing.assert_allclose(m.iv.voltage, v)
    np.testing.assert_allclose(m.iv.current, [v / 1e4])
    (bad,) = conversion.bad
    assert (bad.reason, bad.lines) == ("a summary of the rows above", (9, 10))


def test_names_such_as_mean_may_name_devices(imported):
    content = lines("device,R (ohm)", "mean,9000", "max,9100", "top,9200")
    m, _, conversion = imported(content)
    assert np.isfinite(m.program.read_all().conductance).sum() == 3
    assert conversion.bad == ()


def test_a_file_of_labview(imported):
    v = np.arange(6) / 10
    content = lines(
        "LabVIEW Measurement\t", "Separator\tTab", "***End_of_Header***\t", "\t",
        "Channels\t2\t\t", "Samples\t6\t6\t", "X0\t0.0\t0.0\t", "Delta_X\t0.1\t0.1\t",
        "***End_of_Header***\t\t\t", "X_Value\tVoltage (V)\tCurrent (A)\tComment",
        *(f"{k / 10}\t{x}\t{x / 1e4}\t" for k, x in enumerate(v)),
    )  # fmt: skip
    m, _, conversion = imported(content, name="sweep.lvm")
    np.testing.assert_allclose(m.iv.current, [v / 1e4])
    assert conversion.bad == ()


def easyexpert(*currents):
    """Return an export of EasyEXPERT, whose settings have as many fields as the rows."""
    settings = lines(
        "", "SetupTitle, I/V Sweep", "TestParameter, Channel.Unit, SMU1, SMU2",
        *(f"TestParameter, Measurement.Setting{k}, {k}" for k in range(60)),
        "AnalysisSetup, Analysis.Setup.Title, I/V Sweep", "Dimension1, 5, 5", "Dimension2, 1, 1",
        "DataName, Vte, Ite",
    )  # fmt: skip
    return "".join(
        settings + lines(*(f"DataValue, {n / 20}, {x}" for n, x in enumerate(i))) for i in currents
    )


def test_an_export_of_easyexpert(imported):
    v = np.linspace(0, 0.5, 11)
    m, text, conversion = imported(easyexpert(v / 1e4, v / 2e4))
    assert 'row_prefix = "DataValue"' in text
    np.testing.assert_allclose(m.iv.current, [v / 1e4, v / 2e4], atol=1e-15)
    assert conversion.bad == ()


def test_a_workbook_of_a_4200(imported):
    m, _, conversion = imported(zlib.decompress(base64.b85decode("".join(_XLS))), name="iv#1.xls")
    np.testing.assert_allclose(m.iv.voltage, [0, 0.1, 0.2, 0.3])
    np.testing.assert_allclose(m.iv.current, [[1.2e-12, 4e-6, 8.2e-6, 1.25e-5]])
    assert conversion.bad == ()


@pytest.mark.parametrize("cut", [600, 3000])
def test_a_damaged_workbook(tmp_path, cut):
    path = tmp_path / "iv.xls"
    path.write_bytes(zlib.decompress(base64.b85decode("".join(_XLS)))[:cut])
    with pytest.raises(MeasurementError, match=r"a damaged \.xls file"):
        guess_layout(path)


def test_the_swept_terminal_is_chosen(imported):
    """The gate comes first, and is measured, so its voltage is not constant."""
    v = np.arange(6) / 10
    rows = [f"{1e-12},{2 + x * 1e-4},{x / 1e4},{x}" for x in v]
    m, _, _ = imported(lines("GateI,GateV,DrainI,DrainV", *rows))
    np.testing.assert_allclose(m.iv.voltage, v)
    np.testing.assert_allclose(m.iv.current, [v / 1e4])


def test_cells_side_by_side_are_not_dropped_in_silence(imported):
    v = np.arange(6) / 10
    rows = [f"{x},{x / 1e4},{x},{x / 2e4}" for x in v]
    m, text, _ = imported(lines("V,I,V,I", *rows))
    assert m.iv.current.shape == (1, 6)
    assert re.search(r"CHECK.*V_2, I_2 belong to other cells, and are not read", text)


def test_a_file_for_each_cell(imported, tmp_path):
    v = np.arange(6) / 10
    paths = [tmp_path / f"dev_{k}.csv" for k in range(3)]
    for k, path in enumerate(paths):
        path.write_text(lines("V,I", *(f"{x},{x / (1 + k) / 1e4}" for x in v)))
    m, _, _ = imported(*paths)
    np.testing.assert_allclose(m.iv.current[:, 5], 5e-5 / np.array([1, 2, 3]))


def test_a_transposed_table_is_named(tmp_path):
    path = tmp_path / "log.csv"
    table = [ROW.tolist(), COL.tolist(), OHM.tolist()]
    names = ("row", "col", "R_ohm")
    path.write_text(
        "cell," + ",".join(map(str, range(12))) + "\n"
        + lines(*(",".join([n, *map(str, x)]) for n, x in zip(names, table, strict=True)))
    )  # fmt: skip
    with pytest.raises(MeasurementError, match="Transpose the table"):
        guess_layout(path)


READINGS = 100 + 13.7 * np.sin(np.arange(64)).reshape(8, 8)


def bare_map(first):
    """Return a map with decimal places, behind a first column."""
    return lines(*(",".join([str(f), *(f"{x:.2f}" for x in r)])
                   for f, r in zip(first, READINGS[:, 1:], strict=True)))  # fmt: skip


@pytest.mark.parametrize("scale", [1, 100])
def test_integers_by_chance_are_readings(imported, scale):
    """The first readings of the rows are integers in the range of the others."""
    first = [104, 97, 111, 88, 104, 92, 101, 99]
    m, _, _ = imported(bare_map(first))
    assert (m.rows, m.cols) == (8, 8)
    np.testing.assert_allclose(m.program.read_all().conductance[0, :, 0] * 1e6, first)


@pytest.mark.parametrize("start", [0, 1])
def test_numbers_of_the_rows_are_no_readings(imported, start):
    m, text, _ = imported(bare_map(np.arange(8) + start) * 2)
    assert (m.rows, m.cols) == (8, 7)
    assert "if each line is a cell" in text
    for sweep in m.program.read_all().conductance:
        np.testing.assert_allclose(sweep * 1e6, READINGS[:, 1:].round(2))


def test_addresses_of_cells_with_samples_along_the_line(imported):
    m, _, _ = imported(bare_map(4 * np.arange(8)))
    assert m.reads.shape == (7, 2, 4)
    np.testing.assert_allclose(m.reads.read_all().reshape(7, 8).T * 1e6, READINGS[:, 1:].round(2))


def test_a_unit_prefix_behind_each_number(resistances):
    found, text, _ = resistances(
        lines("row,col,R", *(f"{r},{c},{o / 1e3}k" for r, c, o in zip(ROW, COL, OHM, strict=True)))
    )
    assert 'with_units = { R = "ohm" }' in text
    np.testing.assert_allclose(found, OHM)


def test_units_in_brackets_below_the_names(resistances):
    rows = (f"{r},{c},{2e5 / o},0.2" for r, c, o in zip(ROW, COL, OHM, strict=True))
    found, _, _ = resistances(lines("row,col,I,V", ",,(uA),(V)", *rows))
    np.testing.assert_allclose(found, OHM)


def test_hexadecimal_addresses_without_0x(resistances):
    rows = (f"{16 * k:04X},{o}" for k, o in enumerate(OHM))
    found, _, conversion = resistances(lines("addr,R_ohm", *rows))
    np.testing.assert_allclose(found, OHM)
    assert conversion.bad == ()


def test_readings_of_reversed_sign(resistances):
    rows = (f"{r},{c},{-0.2 / o}" for r, c, o in zip(ROW, COL, OHM, strict=True))
    found, text, _ = resistances(lines("row,col,I (A)", *rows))
    np.testing.assert_allclose(found, OHM)
    assert "all are negative, so the sign is reversed" in text


def test_negative_conductances_are_found_before_any_fit(tmp_path):
    from rramfit.measurement import convert_measurement
    from rramfit.measurement.file.plausibility import implausible

    path, lab = tmp_path / "log.csv", tmp_path / "lab.toml"
    path.write_text(lines("row,col,g", *each("{row},{col},-{ohm}")))
    lab.write_text(
        '[array]\nid = "x"\ncell = "1T1R"\nrows = 3\ncols = 4\n[source]\nkind = "table"\n'
        'header = true\n[cells]\nrow = "row"\ncol = "col"\n'
        '[program]\nconductance = { column = "g", units = "nS" }\nread_voltage = 0.2\n'
    )
    (problem,) = implausible(convert_measurement([path], lab).measurements[0], path)
    assert problem.found == "negative conductances in 12 of 12 readings"


def test_stated_targets_are_those_of_named_levels(imported):
    rows = (
        f"{k // 4},{k % 4},L{k % 3},{20 * (k % 3 + 1)},{20 * (k % 3 + 1) + 1}" for k in range(12)
    )
    m, text, _ = imported(lines("WL,BL,Level,Target (uS),G (uS)", *rows))
    np.testing.assert_allclose(m.levels.target, [2e-5, 4e-5, 6e-5])
    assert "medians of the readings" not in text
    assert m.program.read_all().level.ravel().tolist() == [k % 3 for k in range(12)]


def test_the_sign_of_the_voltage_is_the_polarity(imported):
    up = [f"{n},1.2,1,{10 + n}" for n in range(1, 9)]
    down = [f"{n},-1.1,1,{26 - n}" for n in range(9, 17)]
    m, _, _ = imported(lines("pulse,V (V),width (us),G (uS)", *up, *down))
    assert m.pulses.polarity.tolist() == [1] * 8 + [-1] * 8
    np.testing.assert_allclose(m.pulses.conductance[0, 0, :2], [11e-6, 12e-6])


def test_a_current_of_each_cell_behind_the_voltage(imported):
    v = np.arange(6) / 10
    rows = (f"{x}," + ",".join(f"{x / k / 1e4}" for k in (1, 2, 3, 4)) for x in v)
    m, _, _ = imported(lines("V,I1 (A),I2 (A),I3 (A),I4 (A)", *rows))
    np.testing.assert_allclose(m.iv.current, [v / k / 1e4 for k in (1, 2, 3, 4)])


def test_states_of_devices_side_by_side(imported):
    """The states of one device are not taken for four cells."""
    head = "Cycle,Dev1 HRS (ohm),Dev1 LRS (ohm),Dev2 HRS (ohm),Dev2 LRS (ohm)"
    rows = (f"{k},{2e5 + k},{1e4 + k},3e5,1.1e4" for k in (1, 10, 100))
    m, text, _ = imported(lines(head, *rows))
    np.testing.assert_allclose(1 / m.endurance.conductance[:, 0, 0, 0], [200001, 200010, 200100])
    assert "not used: Dev2_LRS" in text


def test_cells_of_several_dies_are_not_mixed(tmp_path):
    path = tmp_path / "log.csv"
    rows = (row for die in (1, 2) for row in each(f"{die},{{row}},{{col}},{{ohm}}"))
    path.write_text(lines("DieX,row,col,R (ohm)", *rows))
    with pytest.raises(MeasurementError, match=r"cells of 2 dies \(DieX\)") as raised:
        guess_layout(path)
    assert "where = { DieX = 1 }" in str(raised.value)


@pytest.mark.parametrize("column", ["die", "Chip ID"])
def test_a_log_of_one_die(resistances, column):
    content = lines(f"{column},row,col,R_ohm", *each("7,{row},{col},{ohm}"))
    np.testing.assert_allclose(resistances(content)[0], OHM)


def test_import_lists_the_columns_that_it_does_not_use(tmp_path):
    from click.testing import CliRunner

    from rramfit_cli.main import cli

    path = tmp_path / "log.csv"
    path.write_text(lines("row,col,R_ohm,Chuck", *each("{row},{col},{ohm},25")))
    out = tmp_path / "chip.h5"
    result = CliRunner().invoke(cli, ["measurement", "import", str(path), "--yes", "-o", str(out)])
    assert result.exit_code == 0, result.output
    assert "not used:\n  Chuck (" in result.output


def test_sweeps_in_numbered_cycles(imported):
    v = np.concatenate([np.arange(0, 6), np.arange(5, -7, -1)]) / 5
    rows = (f"{c};{x};{x / 10}".replace(".", ",") for c in (1, 2) for x in v)
    m, _, conversion = imported(lines("Cycle;Spannung [V];Strom [mA]", *rows))
    np.testing.assert_allclose(m.iv.current, [v * 1e-4, v * 1e-4])
    assert conversion.bad == ()


def test_a_constant_column_is_a_setting_and_no_reading(imported):
    rows = (f"{k};5;15;{k % 4};{k % 3};{o / 1e3};ja".replace(".", ",") for k, o in enumerate(OHM))
    head = "Adresse;Ziel_min [kOhm];Ziel_max [kOhm];Anz_SET;Anz_RESET;R_final [kOhm];OK"
    m, _, _ = imported(lines(head, *rows))
    np.testing.assert_allclose(1 / m.program.read_all().conductance.ravel(), OHM, rtol=1e-6)
    assert m.attempts.set_pulses.tolist() == [k % 4 for k in range(12)]
    assert m.attempts.success.all()


@pytest.mark.parametrize(
    ("title", "head", "label"),
    [
        (None, ",BL0,BL1,BL2,BL3", "WL{}"),
        (None, "WL\\BL,0,1,2,3", "{}"),
        ("Resistance map (ohm),,,,", ",0,1,2,3", "{}"),
    ],
)
def test_a_map_with_labels(resistances, title, head, label):
    rows = (f"{label.format(k)}," + ",".join(map(str, OHM[4 * k : 4 * k + 4])) for k in range(3))
    found, text, _ = resistances(lines(*([title] if title else []), head, *rows))
    np.testing.assert_allclose(found, OHM)
    assert "CHECK: the median" not in text or title is None


def test_a_map_below_a_sentence(imported):
    """The words of a comment are no names of columns, also if they are nearly as many."""
    rows = (" ".join(f"{o:.6e}" for o in row) for row in OHM.reshape(2, 6))
    m, _, _ = imported(lines("# resistances of row 0..1", *rows), name="map.txt")
    assert (m.rows, m.cols) == (2, 6)
    np.testing.assert_allclose(1 / m.program.read_all().conductance.ravel(), OHM, rtol=1e-6)


def test_a_printed_array_ends_in_a_sentence(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("[[1.01e4, 1.02e4],\n [1.11e4, 1.12e4],\n [1.21e4, 1.22e4]]\n")
    with pytest.raises(MeasurementError, match="numbers in brackets"):
        guess_layout(path)


def test_an_open_quotation_mark_below_the_header(resistances):
    _, _, conversion = resistances(lines("row,col,R_ohm", '0,0,"12', *each("{row},{col},{ohm}")))
    (bad,) = conversion.bad
    assert (bad.reason, bad.lines) == ("a quotation mark that is not closed", (2,))


def test_numbered_cells_in_columns_over_time(imported):
    """The header is mostly numbers, but is no row."""
    rows = (f"{t}," + ",".join(str(o + t) for o in OHM[:4]) for t in (0, 10, 100))
    m, _, _ = imported(lines("time (s),1,2,3,4", *rows))
    assert m.reads.time.tolist() == [0, 10, 100]
    np.testing.assert_allclose(1 / m.reads.read_all()[1].ravel(), OHM[:4] + 10)


@pytest.mark.parametrize("columns", ["V (V),I (A),R (ohm)", "V (V),I (A)"])
def test_a_measured_read_voltage_is_no_sweep(resistances, columns):
    """The voltage of each reading differs in the fourth digit."""
    v = 0.2 * (1 + 1e-4 * np.sin(np.arange(12)))
    rows = (f"{r},{c},{x},{x / o},{o}" for r, c, x, o in zip(ROW, COL, v, OHM, strict=True))
    kept = (row.rsplit(",", 1)[0] if "R" not in columns else row for row in rows)
    found, _, _ = resistances(lines(f"row,col,{columns}", *kept))
    np.testing.assert_allclose(found, OHM)


def test_a_sweep_with_its_resistances(imported):
    v = np.arange(1, 8) / 10
    m, _, _ = imported(lines("V (V),I (A),R (kohm)", *(f"{x},{x / 1e4},10" for x in v)))
    np.testing.assert_allclose(m.iv.current, [v / 1e4])
