"""Groups of a measurement from logs; the expected values were derived by hand, row by row."""

import numpy as np
import pytest

from rramfit.errors import MeasurementError
from rramfit.measurement import read_measurement, validate_layout, write_conversion

TABLE = '[source]\nkind = "table"\n'
PACKED = '[cells]\npacked = "a"\n'
NAN = np.nan


def written(conversion, path):
    """Write a conversion, check the file, and read it again."""
    (file,) = write_conversion(conversion, path / "out.h5")
    assert validate_layout(file) == []
    return read_measurement(file)


ENDURANCE = f"""{TABLE}columns = ["a", "r", "n", "op"]
{PACKED}
[endurance]
cycle = "n"
conductance = {{ column = "r", units = "kohm" }}
"""
SWITCHED = "0,100,1,RESET\n0,10,1,SET\n1,200,1,RESET\n1,20,1,SET\n0,50,9,RESET\n0,5,9,SET\n"
EXPECTED = np.array([[[1e-5, 5e-6], [1e-4, 5e-5]], [[2e-5, NAN], [2e-4, NAN]]])


@pytest.mark.parametrize(
    "state",
    [
        '"alternating"',
        '"value"',
        '{ column = "op", values = { RESET = 0, set = 1 } }',
        '{ threshold = 30, units = "kΩ" }',
    ],
)
def test_states_in_alternating_rows(convert, tmp_path, state):
    c = convert(SWITCHED, ENDURANCE + f"state = {state}", rows=1)
    m = written(c, tmp_path)
    np.testing.assert_allclose(m.endurance.conductance[:, :, 0], EXPECTED, rtol=1e-6)
    assert m.endurance.cycle.tolist() == [1, 9]
    assert (c.rows, c.bad, c.unused) == (6, (), 0)


def test_states_in_order_of_value(convert):
    """Rows of a cycle may come in any order; SET first here."""
    log = "0,10,1,x\n0,100,1,x\n"
    g = convert(log, ENDURANCE + 'state = "value"', rows=1).measurements[0].endurance.conductance
    np.testing.assert_allclose(g[0, :, 0, 0], [1e-5, 1e-4])


def test_a_row_that_cannot_be_read_does_not_exchange_the_states(convert, reasons):
    """The lost reading of cycle 1 makes its partner unusable; cycle 2 stays in order."""
    log = "0,OL,1,x\n0,10,1,x\n0,100,2,x\n0,11,2,x\n0,7,2,x\n"
    c = convert(log, ENDURANCE + 'state = "alternating"', rows=1)
    e = c.measurements[0].endurance
    assert e.cycle.tolist() == [2]
    np.testing.assert_allclose(e.conductance[0, :, 0, 0], [1e-5, 1 / 11e3])
    assert reasons(c) == {
        "r is not a number": (1,),
        "a cycle without all states, so that the state of the reading is unknown": (2,),
        "more than 2 readings of the cell in one cycle": (5,),
    }


def test_cycles_that_are_only_counted(convert):
    layout = ENDURANCE.replace('cycle = "n"', 'cycle = "occurrence"') + 'state = "alternating"'
    e = convert(SWITCHED, layout, rows=1).measurements[0].endurance
    assert e.cycle.tolist() == [1, 2]
    np.testing.assert_allclose(e.conductance[:, :, 0], EXPECTED)


def test_states_in_columns(convert, reasons):
    layout = f"""{TABLE}columns = ["a", "low", "high", "n"]
{PACKED}
[endurance]
cycle = "n * 1000 + 1"
states = [ {{ column = "high", units = "ohm" }}, {{ column = "low", units = "ohm" }} ]
"""
    c = convert("7,9000,1e5,0\n9,8000,0,0\n7,9100,x,1\n7,9000,1e5,0.0005\n", layout, rows=1)
    e = c.measurements[0].endurance
    np.testing.assert_allclose(
        e.conductance[:, :, 0],
        [[[1e-5, NAN], [1 / 9000, 1 / 8000]], [[NAN, NAN], [1 / 9100, NAN]]],
    )
    assert e.cycle.tolist() == [1, 1001]
    assert reasons(c) == {
        "high is 0 ohm": (2,),
        "high is not a number": (3,),
        "n * 1000 + 1 is not a number of cycles": (4,),
    }


def test_a_state_that_the_table_of_texts_does_not_know(convert, reasons):
    state = 'state = { column = "op", values = { HRS = 0, LRS = 1 } }'
    c = convert("0,100,1,hrs\n0,10,1, LRS\n0,9,2,SET\n", ENDURANCE + state, rows=1)
    assert reasons(c) == {"op is not 0 or 1": (3,)}
    np.testing.assert_allclose(c.measurements[0].endurance.conductance[0, :, 0, 0], [1e-5, 1e-4])


PULSES = f"""{TABLE}header = true
{PACKED}
[pulses]
conductance = {{ column = "g", units = "uS" }}
cycle = "cycle"
polarity = {{ column = "kind", values = {{ SET = 1, RESET = -1 }} }}
voltage = {{ column = "v", units = "mV" }}
read_voltage = 0.1
"""


def test_pulses(convert, tmp_path):
    log = (
        "a,cycle,kind,g,v\nd2,0,SET,10,900\nd2,0,SET,20,900\nd2,0,RESET,15,1000\n"
        "d10,0,SET,11,900\nd10,0,SET,21,900\nd10,0,RESET,16,1000\nd2,1,SET,12,900\n"
    )
    p = written(convert(log, PULSES, rows=1), tmp_path).pulses
    np.testing.assert_allclose(
        p.conductance * 1e6,
        [[[10, 20, 15], [12, NAN, NAN]], [[11, 21, 16], [NAN, NAN, NAN]]],
        rtol=1e-6,
    )
    assert p.polarity.tolist() == [1, 1, -1]
    np.testing.assert_allclose(p.voltage, [0.9, 0.9, 1.0])
    assert (p.row.tolist(), p.col.tolist()) == ([0, 0], [0, 1])  # d2 is before d10
    assert p.read_voltage == 0.1


def test_a_reading_before_the_pulse_is_a_read_without_a_pulse(convert):
    layout = f"""{TABLE}columns = ["a", "width", "v", "before", "after"]
{PACKED}
[pulses]
conductance = {{ column = "after", units = "ohm" }}
initial = {{ column = "before", units = "ohm" }}
polarity = -1
voltage = {{ column = "v", units = "V" }}
width = {{ column = "width", units = "ns" }}
"""
    p = convert("3,20,0.5,1e4,2e4\n5,20,0.7,1e4,4e4\n", layout).measurements[0].pulses
    np.testing.assert_allclose(p.conductance, [[[1e-4, 5e-5]], [[1e-4, 2.5e-5]]])
    assert p.polarity.tolist() == [0, -1]
    np.testing.assert_allclose(p.voltage, [[[NAN, 0.5]], [[NAN, 0.7]]])
    np.testing.assert_allclose(p.width, [NAN, 2e-8])


ATTEMPTS = f"""{TABLE}columns = ["a", "lo", "hi", "r", "sets", "resets", "ok"]
{PACKED}
[attempts]
lower = {{ column = "lo", units = "kohm" }}
upper = {{ column = "hi", units = "kohm" }}
set_pulses = "sets"
reset_pulses = "resets"
final = {{ column = "r", units = "kohm" }}
success = {{ column = "ok", values = {{ PASS = true, FAIL = false }} }}
max_pulses = 40
"""


def test_attempts_in_a_row_each(convert, reasons, tmp_path):
    log = (
        "4,0,5,4.4,1,2,PASS\n9,80,inf,90,0,7,pass\n4,nan,5,6,3,3,FAIL\n4,,5,6,3,3,FAIL\n"
        "4,5,5,6,3,3,FAIL\n4,0,5,4,-1,0,PASS\n4,0,5,4,1,0,maybe\n"
    )
    c = convert(log, ATTEMPTS)
    a = written(c, tmp_path).attempts
    np.testing.assert_allclose(a.lower, [2e-4, NAN, 2e-4, 2e-4])
    np.testing.assert_allclose(a.upper, [NAN, 1.25e-5, NAN, NAN])
    np.testing.assert_allclose(a.final, [1 / 4400, 1 / 9e4, 1 / 6e3, 1 / 6e3], rtol=1e-6)
    assert a.set_pulses.tolist() == [1, 0, 3, 3]
    assert a.reset_pulses.tolist() == [2, 7, 3, 3]
    assert a.success.tolist() == [True, True, False, False]
    assert (a.col.tolist(), a.max_pulses) == ([0, 1, 0, 0], 40)
    assert reasons(c) == {
        "the lower limit of the window is not below the upper one": (5,),
        "sets is not a pulse count": (6,),
        "ok is neither true nor false": (7,),
    }


def test_attempts_in_a_row_for_each_step(convert):
    layout = f"""{TABLE}columns = ["a", "n", "g", "p", "lo", "hi"]
{PACKED}
[attempts]
attempt = "n"
conductance = {{ column = "g", units = "uS" }}
polarity = {{ column = "p", values = {{ S = 1, R = -1, read = 0 }} }}
lower = {{ column = "lo", units = "uS" }}
upper = {{ column = "hi", units = "uS" }}
"""
    log = "0,1,5,S,9,11\n0,1,12,S,9,11\n0,1,10,R,9,11\n0,2,40,S,35,45\n3,1,9,read,9,11\n"
    a = convert(log, layout).measurements[0].attempts
    np.testing.assert_allclose(a.conductance * 1e6, [[5, 12, 10], [40, NAN, NAN], [9, NAN, NAN]])
    assert a.polarity.tolist() == [[1, 1, -1], [1, 0, 0], [0, 0, 0]]
    assert (a.set_pulses.tolist(), a.reset_pulses.tolist()) == ([2, 1, 0], [1, 0, 0])
    np.testing.assert_allclose(a.final * 1e6, [10, 40, 9])
    np.testing.assert_allclose(a.upper * 1e6, [11, 45, 11])


IV = f"""{TABLE}columns = ["a", "v", "i", "rep"]
{PACKED}
[iv]
voltage = {{ column = "v", units = "V" }}
current = {{ column = "i", units = "µA" }}
"""
LOOPS = "".join(
    f"{a},{v},{10 * rep + v},{rep}\n" for rep in (1, 2) for a in (4, 6) for v in (0, 0.5, 1, 0.5, 0)
)


@pytest.mark.parametrize("key", ['repeat = "rep"', "points = 5"])
def test_repeated_sweeps_up_and_down(convert, tmp_path, key):
    iv = written(convert(LOOPS, IV + key), tmp_path).iv
    assert iv.voltage.tolist() == [0, 0.5, 1, 0.5, 0]
    assert iv.repeat.tolist() == [0, 0, 1, 1]
    assert iv.col.tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(iv.current[2] * 1e6, [20, 20.5, 21, 20.5, 20])


def test_sweeps_with_different_voltages_keep_their_own(convert, tmp_path):
    log = "4,0,0,1\n4,1,1,1\n4,2,2,1\n6,0,0,1\n6,-1,1,1\n6,-2,2,1\n"
    iv = written(convert(log, IV + 'direction = { column = "rep" }'), tmp_path).iv
    assert iv.voltage.tolist() == [[0, 1, 2], [0, -1, -2]]
    assert iv.direction.tolist() == [1, 1, 1]


def test_bakes_at_several_temperatures(convert, tmp_path):
    layout = f"""{TABLE}columns = ["a", "t", "g"]
file_name = "bake_{{celsius}}C*"
{PACKED}
[levels]
target = [10.0]
units = "uS"
[retention]
conductance = {{ column = "g", units = "uS" }}
read = "t"
time = {{ column = "t", units = "min" }}
temperature = {{ column = "celsius", units = "°C" }}
"""
    logs = {
        "bake_125C_x.csv": "0,0,10\n0,60,5\n",
        "bake_85C.csv": "0,0,11\n0,30,10\n0,60,9\n1,60,8\n",
    }
    m = written(convert(logs, layout, rows=1), tmp_path)
    assert [b.temperature for b in m.bakes] == [358.15, 398.15]
    assert [b.time.tolist() for b in m.bakes] == [[0, 1800, 3600], [0, 3600]]
    np.testing.assert_allclose(m.bakes[0].read_all()[:, 0, 0] * 1e6, [11, 10, 9], rtol=1e-6)
    np.testing.assert_allclose(m.bakes[1].read_all()[:, 0, 0] * 1e6, [10, 5], rtol=1e-6)


MVM = f"""{TABLE}header = true
[mvm]
voltage = {{ where = {{ kind = "V" }}, column = "x", units = "mV", row = "line_no" }}
current = {{ where = {{ kind = "I" }}, column = "x", units = "uA", col = "line_no" }}
inactive_rows = "grounded"
cell_reads = "terminal"
"""


def test_currents_of_the_driven_array(convert, tmp_path, reasons):
    layout = (
        MVM
        + 'conductance = { where = { kind = "G" }, column = "x", units = "uS", '
        + ('row = "pattern", col = "line_no" }')
    )
    log = (
        "kind,pattern,line_no,x\nV,5,0,200\nI,5,0,4\nI,5,1,2\nV,3,1,100\nI,3,0,1\n"
        "G,0,0,20\nG,0,1,10\nG,1,0,10\nI,3,2,1\n"
    )
    c = convert(log, layout)
    m = written(c, tmp_path).mvm
    np.testing.assert_allclose(m.voltage, [[0, 0.1], [0.2, 0]])
    np.testing.assert_allclose(m.current * 1e6, [[1, NAN], [4, 2]])
    np.testing.assert_allclose(m.conductance * 1e6, [[20, 10], [10, NAN]], rtol=1e-6)
    assert reasons(c) == {"line_no is not a line of the array, 0 to 1": (10,)}


READOUT = f"""{TABLE}columns = ["i", "ch", "code"]
[readout]
input = {{ column = "i", units = "uA" }}
code = "code"
channel = "ch"
channel_col = "ch * 2"
bits = 8
full_scale = 1e-5
zero_code = 128
"""


def test_codes_of_the_readout(convert, tmp_path, reasons):
    log = "0,0,128\n0,1,127\n0,0,129\n0,1,126\n1,0,140\n1,1,141\n1,0,142\n1,1,143\n1,1,144\n"
    c = convert(log, READOUT, cols=3)
    r = written(c, tmp_path).readout
    np.testing.assert_allclose(r.input, [0, 1e-6])
    assert r.code.tolist() == [[[128, 127], [140, 141]], [[129, 126], [142, 143]]]
    assert r.channel_col.tolist() == [0, 2]
    assert reasons(c) == {"more repeats of this input and channel than of others": (9,)}
    with pytest.raises(MeasurementError, match="no code of channel 1 at 1e-06 A"):
        convert(log[:40], READOUT, cols=3)


def test_sweep_by_file_and_occurrence(convert):
    layout = f"""{TABLE}columns = ["a", "r"]
{PACKED}
[program]
conductance = {{ column = "r", units = "ohm" }}
sweep = ["file", "occurrence"]
read_voltage = 0.2
"""
    logs = {"b.csv": "0,1e3\n0,2e3\n1,3e3\n", "a.csv": "0,4e3\n1,5e3\n1,6e3\n"}
    c = convert(logs, layout, rows=1)
    np.testing.assert_allclose(
        1 / c.measurements[0].program.read_all().conductance[:, 0],
        [[1e3, 3e3], [2e3, NAN], [4e3, 5e3], [NAN, 6e3]],
    )


def test_a_file_for_each_device_and_text_levels(convert):
    layout = f"""{TABLE}header = true
file_name = "{{lot}}_d{{device}}.csv"
[cells]
packed = "device"
[levels]
target = [10.0, 100.0]
units = "uS"
[program]
conductance = {{ column = "(v1 - v2) / 1000", units = "mA", voltage = "0.1 + 0 * v1" }}
level = {{ column = "state", values = {{ HRS = 0, LRS = 1 }} }}
sweep = "occurrence"
read_voltage = 0.1
"""
    logs = {
        "L7_d10.csv": "v1,v2,state\n2,1,HRS\n",
        "L7_d9.csv": "v1,v2,state\n12,2,lrs\n3,1,HRS\n",
    }
    block = convert(logs, layout, rows=1).measurements[0].program.read_all()
    np.testing.assert_allclose(block.conductance[:, 0], [[1e-4, 1e-5], [2e-5, NAN]])
    assert block.level[:, 0].tolist() == [[1, 0], [0, -1]]


def test_tiles_have_their_own_devices_and_attempts(convert):
    layout = ATTEMPTS.replace(PACKED, '[cells]\nrow = "a // 4"\ncol = "a % 4"\n')
    log = "".join(f"{a},0,5,4.4,{a},2,PASS\n" for a in (0, 3, 6))
    c = convert(log, layout, rows=2, cols=4, more="tiles = [2, 2]")
    left, right = (m.attempts for m in c.measurements)
    assert (left.set_pulses.tolist(), right.set_pulses.tolist()) == ([0], [3, 6])
    assert (right.row.tolist(), right.col.tolist()) == ([0, 1], [1, 0])
