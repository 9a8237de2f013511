"""Roles of columns by their names, as laboratories write them.

A role is what a column means in a measurement: `address`, `cycle`, `resistance`, `upper` and so on.
Names are compared in lower case, with any other sign as an underscore and without their unit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["UNIT_ROLES", "quantity_of_unit", "role_by_name"]

_READING = r"([rgi]|res(istance)?|cond(uctance)?|curr(ent)?)"
_OTHER_LANGUAGES = {  # German, French, Japanese, Chinese, Korean
    "zeile": "row", "ligne": "row", "spalte": "col", "colonne": "col", "adresse": "address",
    "zelle": "cell", "cellule": "cell", "widerstand": "resistance", "résistance": "resistance",
    "leitwert": "conductance", "strom": "current", "courant": "current", "spannung": "voltage",
    "tension": "voltage", "zyklus": "cycle", "zyklen": "cycles", "zeit": "time", "temps": "time",
    "temperatur": "temperature", "température": "temperature", "stufe": "level",
    "niveau": "level", "zustand": "state", "état": "state", "puls": "pulse", "impulsion": "pulse",
    "pulse_nr": "pulse", "durchlauf": "sweep", "bauteil": "device", "composant": "device",
    "行": "row", "列": "col", "抵抗": "resistance", "电阻": "resistance", "電阻": "resistance",
    "電流": "current", "电流": "current", "電圧": "voltage", "电压": "voltage", "電壓": "voltage",
    "時間": "time", "时间": "time", "サイクル": "cycle", "循环": "cycle", "温度": "temperature",
    "저항": "resistance", "전류": "current", "전압": "voltage", "시간": "time",
    "온도": "temperature",
}  # fmt: skip
_MEASURED = r"(read(ing|out)?|final|meas(ured)?|value|median|mean|avg|\d+)"
_APPLIED = r"(force|forced|bias|app|applied|set_?point|src|source|meas|smu)"
_TERMINALS = r"(ds|sd|gs|bs|bg|dd|ss|te|be|tb|dut|in|out)"  # of a voltage or a current
_PLACE = r"(coord(inate)?|pos|addr)"
_CLOCK = r"((unix|elapsed|rel(ative)?|bake|read)_?)"
_LIMITED = rf"({_READING}|target|ziel|soll|win(dow)?|verify|spec)"
_LIMIT = r"(_?(limit|bound|lim))"
_NUMBER = r"(id|no|num(ber)?|n|count|index|idx|nr)"

_NAMES: Sequence[tuple[str, str]] = (
    ("ratio", r"on_?off|off_?on|.*ratio.*|.*_(percent|pct|rel)|memory_window"),
    ("read voltage", r"(read_?v(olt(age)?)?|v(olt(age)?)?_?read)"),
    ("row", rf"(row|wl)(_?{_NUMBER})?|word_?line|x(_?{_PLACE})?"),
    ("col", rf"(col(umn)?|bl)(_?{_NUMBER})?|bit_?line|y(_?{_PLACE})?"),
    ("address", rf"addr(ess)?|cell(_?({_NUMBER}|addr(ess)?))?|cell"),
    ("device", rf"(dev(ice)?|dut|part)(_?({_NUMBER}|name))?|sample_?name"),
    ("voltage", rf"(v(olt(age)?)?|bias|[ac]v|(an|cath)odev|gatev|drainv)(_?{_APPLIED}?_?\d*)?"),
    ("voltage", rf"source_(value|voltage)|v_?([a-z]?\d*|{_TERMINALS})"),
    ("cycle", rf"(n_?)?cyc(le)?s?(_?({_NUMBER}|done))?|(switching|endurance)_cycles?"),
    ("sweep", rf"(sweep|repeat|rep|run|iter(ation)?|loop|trace|pass_?no)s?(_?{_NUMBER})?"),
    ("sets", rf"(n_?|num_?|anz(ahl)?_?)?sets?(_?(pulses?|{_NUMBER}))?|(pulses?)_?set"),
    ("resets", rf"(n_?|num_?|anz(ahl)?_?)?re?sets?(_?(pulses?|{_NUMBER}))?|(pulses?)_?reset"),
    ("pulse", rf"pulse(_?({_NUMBER}|count|nr))?|n_?pulse|step(_?{_NUMBER})?|shot"),
    ("pulses", r"(n_?|num_?|total_?)?pulses(_?(used|total|count))?|attempts|iterations|tries"),
    ("reads", r"(n_?|num_?)?reads"),
    ("read", rf"(read|sample|sampling|acq(uisition)?)(_?{_NUMBER})?"),
    ("polarity", r"pol(arity)?|pulse_?(type|polarity|sign)|op(eration)?|set_?reset"),
    ("direction", r"dir(ection)?|sweep_?dir(ection)?"),
    ("time", rf"{_CLOCK}?t(ime)?(_?(stamp|point|elapsed|rel))?"),
    ("temperature", r"(bake_?)?temp(erature)?(_?[ck])?|t_?(bake|amb|chuck|stage)|celsius|kelvin"),
    ("level", rf"(target_?)?(level|lvl|code)(_?{_NUMBER})?|(target_?)state"),
    ("state", r"state|resistance_?state|mode|kind|phase"),
    ("flag", r"ok|verified|pass(ed)?|success(ful)?|accepted|valid|converged|pass_?fail|p_f|done"),
    ("lower", rf"{_LIMITED}?_?(lo(w(er)?)?|min){_LIMIT}?"),
    ("upper", rf"{_LIMITED}?_?(hi(gh)?|up(per)?|max){_LIMIT}?"),
    ("target", rf"{_READING}?_?(target|goal|aim|ziel|soll)(_?{_READING})?"),
    ("hrs", rf"{_READING}?_?(hrs|off|high_?res(istance)?_?state|reset)"),
    ("lrs", rf"{_READING}?_?(lrs|on|low_?res(istance)?_?state|set)"),
    ("hrs", r".+_(hrs|high_?res(istance)?_?state)"),
    ("lrs", r".+_(lrs|low_?res(istance)?_?state)"),
    ("initial", rf"{_READING}?_?(init(ial)?|before|pre|start|0)|(init(ial)?|pre)_{_READING}"),
    ("final", rf"{_READING}?_?(final|after|end|post)|(final|post)_{_READING}"),
    ("width", r"(pulse_?)?(width|pw|duration)|t_?(pulse|pw|width)"),
    ("amplitude", r"(pulse_?)?ampl?(itude)?|v_?(pulse|ampl?(itude)?|p)|pulse_?v(olt(age)?)?"),
    ("current", rf"(i|curr(ent)?)(_?{_MEASURED})?|[ac]i|(an|cath)odei|gatei|draini"),
    ("current", rf"i_?([a-z]?\d*|{_TERMINALS})"),
    ("resistance", rf"(r|res(istance)?)(_?{_MEASURED})?"),
    ("conductance", rf"(g|cond(uctance)?)(_?{_MEASURED})?"),
    ("reading", r"reading|result|value|meas(urement|ured)?"),
    ("index", rf"{_NUMBER}|line|point|record"),
)  # fmt: skip

_KINDS = {
    "S": "conductance", "ohm": "resistance", "A": "current", "V": "voltage", "s": "time",
    "min": "time", "h": "time", "d": "time", "K": "temperature", "degC": "temperature",
}  # fmt: skip

UNIT_ROLES: dict[str, frozenset[str]] = {
    "conductance": frozenset({"conductance", "lower", "upper", "target", "hrs", "lrs", "initial",
                              "final", "reading"}),
    "voltage": frozenset({"voltage", "read voltage", "amplitude"}),
    "time": frozenset({"time", "width"}),
    "temperature": frozenset({"temperature"}),
}  # fmt: skip
UNIT_ROLES["resistance"] = UNIT_ROLES["conductance"] | {"resistance"}
UNIT_ROLES["current"] = UNIT_ROLES["conductance"] | {"current"}
"""Roles that a column with a unit of this quantity may have."""


def quantity_of_unit(unit: str) -> str:
    """Return the quantity of an accepted unit; "" if it is unknown.

    Examples
    --------
    >>> quantity_of_unit("kohm"), quantity_of_unit("uS"), quantity_of_unit("min")
    ('resistance', 'conductance', 'time')
    """
    return _KINDS.get(unit) or _KINDS.get(unit[1:], "")


def role_by_name(title: str, unit: str) -> str:
    """Return the role that a column's name and unit suggest; "" if they suggest none.

    A unit overrules a name that does not fit it.

    Examples
    --------
    >>> role_by_name("Bitline", ""), role_by_name("i_on", "A"), role_by_name("Cycle #", "")
    ('col', 'lrs', 'cycle')
    >>> role_by_name("R_ratio", ""), role_by_name("sets", ""), role_by_name("n_reset", "")
    ('ratio', 'sets', 'resets')
    """
    quantity = quantity_of_unit(unit)
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", title) if not title.isupper() else title
    for text in (spaced, title):
        name = re.sub(r"[\W_]+", "_", text).strip("_").casefold()
        name = _OTHER_LANGUAGES.get(name, name)
        for role, pattern in _NAMES:
            if name and re.fullmatch(pattern, name):
                if quantity and role not in UNIT_ROLES[quantity] and role != "ratio":
                    continue
                return role
    return quantity
