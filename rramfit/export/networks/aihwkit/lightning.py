"""aihwkit-lightning 2: the configuration of hardware-aware training for cells of a card.

It simulates training: normal noise of the weights, and quantised inputs and outputs, in the same
units as aihwkit. Evaluation on cells belongs to aihwkit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

from rramfit.export.contract import Export, Exporter, Limit
from rramfit.export.limits import limits
from rramfit.export.networks.aihwkit.exporter import OPTIONS, aihwkit_options

if TYPE_CHECKING:
    from rramfit.card.schema import ModelCard

__all__ = ["EXPORTER"]


def export(card: ModelCard, options: Mapping[str, Any]) -> Export:
    """Return the files for aihwkit-lightning."""
    made = aihwkit_options(card, options)
    if not made["out_res"] > 0:  # no converters: any bound would clip
        made["out_bound"] = 0.0
    files = {"rram_lightning.json": json.dumps(made, indent=2) + "\n"}
    source = resources.files("rramfit.export.networks.aihwkit").joinpath("files")
    for name, to in (("rram_lightning.py",) * 2, ("example_lightning.py", "example.py")):
        files[to] = source.joinpath(name).read_text(encoding="utf-8")
    return Export(
        files=files,
        commands=("pip install aihwkit-lightning", "python3 example.py"),
        approximated=(
            Limit(
                what="Weights have one normal noise in training, of the states of all levels and "
                "of the cell at the lowest level.",
                size=f"{100 * made['training_std']:.2g} % of the largest weight of an output",
            ),
        ),
        missing=limits(card, expressed={"d2d", "c2c", "spacing", "readout"}),
        notes=(
            "`out_bound` and `out_noise` are in units of the input range times the largest weight.",
            "To evaluate on cells, use `export_to_aihwkit`, and then the export for aihwkit.",
        ),
    )


EXPORTER = Exporter(
    name="aihwkit-lightning",
    title="IBM aihwkit-lightning 2",
    writes="`rram_lightning.py` has a configuration of hardware-aware training with the noise of "
    "the weights, and the resolution, range and noise of the converters.",
    cannot="Everything that belongs to cells: this program trains, and aihwkit evaluates.",
    verified="The tests train a network with it in aihwkit-lightning 2.1.0, and compare the noise "
    "of its outputs with that of the card.",
    export=export,
    options=OPTIONS,
    aliases=("lightning",),
)
