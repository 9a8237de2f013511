"""MemTorch 1.1: a module that patches a torch network with the ends of a card's range.

MemTorch draws r_on and r_off of every cell from distributions of torch, and places a number of
conductance states evenly between them. The resistances are normal with the moments of 1/G of the
highest and the lowest level. Faults, wires (passive arrays), tile shape and converter follow.

Three parts of MemTorch 1.1.6 are not used: programming by pulses, which passive arrays need there;
`FiniteConductanceStates`, which skips cells of different ranges where there is no CUDA device; and
`apply_nonidealities`, which adds a nested layer to the network a second time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rramfit.errors import visible
from rramfit.export.card_values import value_of
from rramfit.export.contract import Export, Exporter, ExportError, Limit
from rramfit.export.drawn import read_voltage
from rramfit.export.limits import limits

if TYPE_CHECKING:
    from rramfit.card.schema import LevelCard, ModelCard

__all__ = ["EXPORTER"]

_SHARES = 4001

_MODULE = '''"""Card {name} {revision} for MemTorch 1.1.

`patched(model)` returns a memristive network.

Resistances in ohm, voltages in volts.
"""

import copy

import memtorch
import numpy as np
import torch
from memtorch.bh.nonideality.DeviceFaults import apply_device_faults
from memtorch.map.Input import naive_scale
from memtorch.map.Parameter import naive_map

R_ON = {r_on}  # mean and standard deviation over cells
R_OFF = {r_off}
LEAST = {least!r}  # smallest resistance that is drawn
STATES = {states}
LRS_SHARE, HRS_SHARE = {lrs!r}, {hrs!r}  # of stuck cells
TILE = {tile}
ADC_BITS = {bits}
SOURCE_RESISTANCE, LINE_RESISTANCE = {source!r}, {line!r}
WIRES = {wires}
READ_VOLTAGE = {voltage!r}


def memristor_parameters():
    """Keyword arguments of `memtorch.bh.memristor.VTEAM`."""
    normal = torch.distributions.normal.Normal
    draw = memtorch.bh.StochasticParameter
    return {{
        "time_series_resolution": 1e-10,
        "r_on": draw(normal, min=LEAST, loc=R_ON[0], scale=max(R_ON[1], 1e-9 * R_ON[0])),
        "r_off": draw(normal, min=LEAST, loc=R_OFF[0], scale=max(R_OFF[1], 1e-9 * R_OFF[0])),
    }}


def set_states(crossbar):
    """Round every conductance to one of the states between r_off and r_on of the cell."""
    low, high = (
        torch.tensor(1 / np.vectorize(lambda x: getattr(x, name), otypes=[float])(crossbar.devices))
        for name in ("r_off", "r_on")
    )
    step = (high - low) / (STATES - 1)
    states = low + step * torch.round((crossbar.conductance_matrix.double() - low) / step)
    crossbar.conductance_matrix = states.float()
    crossbar.update(from_devices=False)


def patched(model, **options):
    """Return a memristive copy of a torch network; `options` go to `memtorch.mn.Module`."""
    arguments = {{
        "memristor_model": memtorch.bh.memristor.VTEAM,
        "memristor_model_params": memristor_parameters(),
        "module_parameters_to_patch": [torch.nn.Linear, torch.nn.Conv2d],
        "mapping_routine": naive_map,
        "transistor": True,  # cells are written directly; wires follow below
        "programming_routine": None,
        "tile_shape": TILE,
        "max_input_voltage": READ_VOLTAGE,
        "scaling_routine": naive_scale,
        "source_resistance": SOURCE_RESISTANCE if WIRES else None,
        "line_resistance": LINE_RESISTANCE if WIRES else None,
        "ADC_resolution": ADC_BITS,
        "ADC_overflow_rate": 0.0,
        "quant_method": None if ADC_BITS is None else "linear",
    }}
    network = memtorch.mn.Module.patch_model(copy.deepcopy(model), **{{**arguments, **options}})
    for layer in network.modules():
        if hasattr(layer, "crossbars"):
            for crossbar in layer.crossbars:
                set_states(crossbar)
            apply_device_faults(layer, LRS_SHARE, HRS_SHARE, 0.0)
            layer.transistor = not WIRES
    network.tune_()
    return network


if __name__ == "__main__":
    print(patched(torch.nn.Sequential(torch.nn.Linear(16, 4)), verbose=False))
'''


def _resistance(level: LevelCard) -> tuple[float, float]:
    """Return mean and standard deviation of 1/G of a level, over its central 99.98 % [ohm]."""
    from rramfit.card.families import family

    q = np.linspace(1e-4, 1 - 1e-4, _SHARES)
    d = level.distribution
    if d is not None:
        g = family(d.family).ppf(q, {name: x.value for name, x in d.parameters.items()})
    elif level.mean is not None and level.std is not None:
        parameters = {"loc": level.mean.value, "scale": level.std.value}
        g = family("normal").ppf(q, parameters)
    else:
        centre = level.mean or level.target
        g = np.array([0.0 if centre is None else centre.value])
    if not (g > 0).all():
        msg = (
            f"level {level.name} reaches conductances of 0 S and below, which have no resistance; "
            "MemTorch takes resistances. Use another target, or leave the level out with "
            "`rramfit card take`."
        )
        raise ExportError(msg)
    r = 1 / g
    return float(r.mean()), float(r.std())


def _export(card: ModelCard, _options: Mapping[str, Any]) -> Export:
    if len(card.levels) < 2:
        msg = f"MemTorch needs at least 2 levels; found {len(card.levels)} in the card"
        raise ExportError(msg)
    ends = sorted(_resistance(level) for level in (card.levels[0], card.levels[-1]))
    (on, on_std), (off, off_std) = ends
    stuck, line = card.stuck, card.line

    segment = 0.5 * (value_of(line, "wordline_resistance") + value_of(line, "bitline_resistance"))
    source, segment = max(value_of(line, "driver_resistance"), 0.0), max(segment, 0.0)
    transistor = card.array.cell in ("1T1R", "2T1R")
    wires = not transistor and source + segment > 0
    text = _MODULE.format(
        name=visible(card.name).replace("\\", "\\\\").replace('"', "'"),
        revision=card.revision,
        r_on=(on, on_std),
        r_off=(off, off_std),
        least=max(on - 6 * on_std, 0.05 * on),
        states=len(card.levels),
        lrs=value_of(stuck, "high"),
        hrs=value_of(stuck, "low"),
        tile=(card.array.rows, card.array.cols),
        bits=None if card.readout is None else card.readout.bits,
        source=source,
        line=segment,
        wires=wires,
        voltage=abs(read_voltage(card)),
    )
    expressed = {"stuck", "readout", *(("wires", "ends") if wires else ())}
    return Export(
        files={"memtorch_card.py": text},
        commands=("pip install memtorch-cpu==1.1.6", "python3 memtorch_card.py"),
        approximated=(
            Limit(
                what="r_on and r_off are normal over cells, with mean and standard deviation of "
                "1/G.",
                size=f"{100 * on_std / on:.2g} % and {100 * off_std / off:.2g} %; d2d, c2c and "
                "read noise together",
            ),
            Limit(
                what="Only the outermost levels have a spread; those between are placed evenly "
                "between r_on and r_off of each cell.",
                size=f"{max(len(card.levels) - 2, 0)} levels",
            ),
        ),
        missing=limits(card, expressed=expressed),
        notes=(
            (
                "MemTorch simulates arrays of cells with a transistor without wires. Cells of "
                "passive arrays are written directly, not by pulses, and read with wires."
            ),
        ),
    )


EXPORTER = Exporter(
    name="memtorch",
    title="MemTorch 1.1",
    writes="`memtorch_card.py` patches a torch network with memristors of the card's range, "
    "states, "
    "stuck cells, tiles and converter.",
    cannot="MemTorch programs evenly spaced states between r_on and r_off of a cell; it has no "
    "read "
    "noise and no places of cells.",
    verified="By format only: the tests run the module against the signatures of MemTorch 1.1.6 "
    "and check its numbers.",
    export=_export,
)
