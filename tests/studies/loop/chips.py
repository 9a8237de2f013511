"""Virtual chips of the closed loop, and the networks that are moved to them."""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rramfit.array import Chips
    from rramfit.card import ModelCard
    from rramfit.mapping.study.datasets import Dataset
    from rramfit.mapping.tiles.chip_source import Origin
    from rramfit.mapping.tiles.setup import AnalogSetup

SHAPE = 128, 128
SWEEPS = 24
GROUPS = ("program", "reads", "mvm", "readout")
POINTS = 0.5
"""Largest difference of two accuracies that counts as equal [points]."""


def true_card(seed: int, **card: Any) -> ModelCard:
    """Return a random card with wires and the reference chip's read-out.

    Parameters
    ----------
    card
        Further arguments of `random_card`.
    """
    from rramfit.card import Quantity, seal
    from rramfit.card.schema import LineCard
    from rramfit.measurement.virtual.cards import random_card
    from rramfit.measurement.virtual.reference_chip import reference_card
    from rramfit.streams import stream

    wires = stream(seed, "card/wires")
    segments, ends = wires.uniform(0.2, 0.8, 2), wires.uniform(1.0, 10.0, 2)
    line = LineCard(
        wordline_resistance=Quantity.given(segments[0], "ohm"),
        bitline_resistance=Quantity.given(segments[1], "ohm"),
        driver_resistance=Quantity.given(ends[0], "ohm"),
        sense_resistance=Quantity.given(ends[1], "ohm"),
        inactive_rows="grounded",
    )
    drawn = random_card(seed, array=SHAPE, **card)
    return seal(drawn.model_copy(update={"line": line, "readout": reference_card().readout}))


def with_own_channels(card: ModelCard, seed: int) -> ModelCard:
    """Add the channels that `synthesize` measured on the chip of this seed to its card."""
    import torch

    from rramfit.array import draw_channels
    from rramfit.streams import torch_stream

    assert card.readout is not None
    generator = torch_stream(seed, "readout")
    channels = draw_channels(card.readout, 1, SHAPE[1], generator=generator, dtype=torch.float64)
    own = {
        "channels": list(range(SHAPE[1])),
        "channel_gain": channels.gain[0].tolist(),
        "channel_offset": channels.offset[0].tolist(),
    }
    return card.model_copy(update={"readout": card.readout.model_copy(update=own)})


def setup_of(card: ModelCard, origin: Any) -> AnalogSetup:
    """Return a setup with all factors on."""
    from rramfit.mapping import analog_setup

    return analog_setup(card, tile=SHAPE, origin=origin)


def true_chip(card: ModelCard, seed: int) -> Chips:
    """Draw the chip that `synthesize` measures, in single precision."""
    from rramfit.array import DeviceModel
    from rramfit.measurement.virtual.synthesize import virtual_chip

    chip = virtual_chip(card, rows=SHAPE[0], cols=SHAPE[1], seed=seed)
    return dataclasses.replace(
        chip,
        model=DeviceModel.from_card(card),
        deviation=chip.deviation.float(),
        stuck_conductance=chip.stuck_conductance.float(),
    )


def move_to_chips(network: nn.Module, card: ModelCard, chips: Origin) -> nn.Module:
    """Move a mapped network to given chips with a card's wires and channels."""
    from rramfit.mapping import analog_matrices

    moved = copy.deepcopy(network)
    truth = setup_of(card, None)
    for matrix in analog_matrices(moved):
        matrix.setup = dataclasses.replace(
            matrix.setup, line=truth.line, readout=truth.readout, origin=chips
        )
    return moved


def trained_network(data: Dataset) -> tuple[nn.Module, float]:
    """Train the mlp digitally; return it with its accuracy."""
    from rramfit.mapping.study.evaluation import accuracy
    from rramfit.mapping.study.networks import make_network
    from rramfit.training.plain import train_plain

    network = make_network("mlp", data.shape, data.classes, seed=0)
    images: Tensor = data.train_images
    train_plain(network, images, data.train_labels, seed=0)
    return network, accuracy(network, data.test_images, data.test_labels)
