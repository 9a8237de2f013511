"""Which factors have an effect: they are on, and the card or the measured chip has them.

drawn chips    factors that the card describes
sidecar        those of the card, with the faults of the measured chip
replayed       only wires, converters and codes: the factors of cells are in the measured
conductances, and cannot be switched off
"""

from __future__ import annotations

import numpy as np

from rramfit.array.devices.device_model import FACTORS as DEVICE_FACTORS
from rramfit.array.devices.measured_chips import ReplayedChips
from rramfit.card.cells import STUCK, CellMaps, Fault
from rramfit.mapping.tiles.setup import FACTORS, AnalogSetup

__all__ = ["active_factors"]


def active_factors(setup: AnalogSetup) -> tuple[str, ...]:
    """Return the factors that are on and have an effect, in the order of `FACTORS`."""
    m = setup.model
    f, age = m.faults, m.ageing
    effective = {
        "d2d": bool((m.between > 0).any()),
        "c2c": bool((m.levels.a**2 < 1).any()),
        "field": any(m.levels.lengths),
        "lines": bool(m.levels.lines),
        "trend": bool((m.row_trend != 0).any() or (m.col_trend != 0).any()),
        "failure": bool((f.hard > 0).any() or (f.soft > 0).any()),
        "stuck": f.stuck_share > 0,
        "dead_lines": f.dead_rows > 0 or f.dead_cols > 0,
        "read": bool((m.read_noise.scale > 0).any()),
        "retention": (
            setup.time >= age.reference_time
            and any(
                bool((x != 0).any())
                for x in (age.first_step, age.first_spread, age.drift, age.growth)
            )
        )
        or (age.law is not None and setup.time >= age.reference_time)
        or (setup.reads > 0 and bool((m.disturb.rate != 0).any())),
        "nonlinearity": m.conduction is not None,
        "wires": setup.with_factors(FACTORS).has_wires,
        "readout": setup.readout is not None,
        "between": setup.chip_spread is not None and setup.origin is None,
    }
    origin = setup.origin
    if isinstance(origin, ReplayedChips):
        effective |= dict.fromkeys(DEVICE_FACTORS, False)
    elif isinstance(origin, CellMaps):
        effective |= {
            "failure": effective["failure"] or bool((origin.hard_posterior > 0).any()),
            "stuck": bool(np.isin(origin.fault, STUCK).any()) or bool(f.worn),
            "dead_lines": bool(np.isin(origin.fault, (Fault.DEAD_ROW, Fault.DEAD_COL)).any()),
        }
    elif origin is not None:  # given chips may have faults that their card does not
        effective |= {"stuck": True, "dead_lines": True, "failure": True}
    return tuple(x for x in FACTORS if x in setup.factors and effective.get(x, True))
