"""Drawn chips as one NumPy file: everything a simulator of one's own needs.

`chips.npz` holds arrays of (chip, tile, row, col), in SI units and float64, and the wires.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rramfit.card.cells import Fault
from rramfit.export.contract import Export, Exporter
from rramfit.export.drawn import (
    CHIP_OPTIONS,
    MAPPING_NOTE,
    card_line,
    draw,
    mapping_csv,
    read_voltage,
)
from rramfit.export.limits import PROPERTIES, limits
from rramfit.export.npz_file import npz_bytes

if TYPE_CHECKING:
    from rramfit.card.schema import ModelCard

__all__ = ["EXPORTER"]

_EXPRESSED = frozenset(PROPERTIES) - {"readout"}


def _export(card: ModelCard, options: Mapping[str, Any]) -> Export:
    chips, line = draw(card, options), card_line(card)
    arrays: dict[str, NDArray[Any]] = {
        "conductance": chips.conductance,
        "read": chips.read,
        "read_std": chips.read_std,
        "slope": chips.slope,
        "nonlinearity": chips.nonlinearity,
        "level": chips.level,
        "accepted": chips.accepted,
        "fault": chips.fault.astype(np.uint8),
        "level_mean": chips.model.mean.numpy(),
        "level_target": chips.model.target.numpy(),
        "wires": np.array([float(x) for x in line.values]),
        "read_voltage": np.array(read_voltage(card)),
    }
    show = "[print(k, v.shape, v.dtype) for k, v in numpy.load('chips.npz').items()]"
    return Export(
        files={"chips.npz": npz_bytes(arrays), **mapping_csv(chips)},
        commands=("pip install numpy", f'python3 -c "import numpy; {show}"'),
        missing=limits(card, expressed=_EXPRESSED),
        notes=(
            (
                "`conductance` is the state [S], `read` one read of it [S], `read_std` the "
                "standard deviation of a read [S]; each (chip, tile, row, col)."
            ),
            (
                "I(V) = slope·sinh(nonlinearity·V)/nonlinearity, with `slope` [S] and "
                "`nonlinearity` [1/V]; both belong to `read`."
            ),
            (
                "`level` (tile, row, col) is the target level, −1 where the cell is not "
                "programmed; `accepted` says whether programming succeeded."
            ),
            f"`fault`: {', '.join(f'{int(f)} {f.label}' for f in Fault)}.",
            "`wires` [ohm]: wordline segment, bitline segment, driver, sense input.",
            MAPPING_NOTE,
        ),
    )


EXPORTER = Exporter(
    name="npz",
    title="NumPy",
    writes="`chips.npz` has the conductances of drawn chips, cell by cell, with their faults, "
    "read noise, I-V parameters and wires.",
    cannot="Converters are parameters of the card; they are not arrays in this file.",
    verified="The tests read the file and compare it with chips drawn by rramfit, bit by bit.",
    export=_export,
    options=CHIP_OPTIONS,
    aliases=("numpy",),
)
