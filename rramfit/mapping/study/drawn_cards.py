"""A network on chips of a card that is known within its errors.

The network is mapped with the card as it is stated: codes, scales, placement, converter ranges and
the gain that corrects the wires. Its chips are of drawn cards (`rramfit.card.uncertainty.draw`),
which the data would also allow: the levels that the cells reach, their variation, failures, stuck
cells and wires are other ones than the mapping assumed. Chips are divided among the draws in blocks
of equal size, chip i to draw ⌊i·draws/chips⌋, and keep their indices: without errors each is the
chip that it would be anyway. If arrays differ (`between`), each chip also has its own card.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

from torch import Tensor, nn

from rramfit.card.quantity import quantities
from rramfit.card.schema import ModelCard
from rramfit.card.uncertainty.draw import draw_card, drawn_paths
from rramfit.errors import MappingError
from rramfit.mapping.layers.network import analog_matrices, analog_weights
from rramfit.mapping.tiles.matrix import AnalogMatrix
from rramfit.mapping.tiles.nominal import Nominal, nominal_tiles
from rramfit.mapping.tiles.setup import AnalogSetup

__all__ = ["CHIPS_PER_DRAW", "card_is_exact", "check_draws", "draw_of_chip", "on_drawn_cards"]

CHIPS_PER_DRAW = 2
"""Fewest chips of each draw, to tell chips of one card from cards."""


def draw_of_chip(index: int, *, chips: int, draws: int) -> int:
    """Return the draw that a chip belongs to."""
    return index * draws // chips


def card_is_exact(card: ModelCard) -> bool:
    """Return whether no number of a card has an error, so that all draws are equal."""
    return not drawn_paths(card)


def check_draws(model: nn.Module, card: ModelCard | None, *, chips: int, draws: int) -> None:
    """Check that a card can be drawn for the chips of a network.

    Raises
    ------
    MappingError
        If there is no card, fewer than two draws, fewer than two chips of each, or chips that are
        not drawn from the card.
    """
    if card is None:
        msg = "card draws need the card; give card="
        raise MappingError(msg)
    if draws < 2 or chips < CHIPS_PER_DRAW * draws:
        msg = (
            f"{draws} draws of the card with {chips} chips; the uncertainty of the card needs at "
            f"least 2 draws, with {CHIPS_PER_DRAW} chips each"
        )
        raise MappingError(msg)
    if any(matrix.setup.origin is not None for matrix in analog_matrices(model)):
        msg = (
            "the chips are measured ones, not drawn from the card, so its uncertainty cannot be "
            "drawn; leave out the card draws, or the measured chip"
        )
        raise MappingError(msg)


@contextlib.contextmanager
def on_drawn_cards(
    model: nn.Module, card: ModelCard, *, chips: int, draws: int, seed: int
) -> Iterator[Callable[[int], int]]:
    """Give the chips of a network to drawn cards; the network is restored at the end.

    Parameters
    ----------
    model : nn.Module
        From `convert_to_analog`, with a setup of `card`.
    card : ModelCard
    chips, draws : int
    seed : int

    Yields
    ------
    callable (index) -> draw
        To call before chip `index` is programmed.
    """
    placed = [(weight.matrix, held) for weight, held in analog_weights(model)]
    setup = placed[0][0].setup
    arrays_differ = any(q.between for _, q in quantities(card))
    stated = [matrix.nominal for matrix, _ in placed]
    present: list[tuple[int, int | None]] = []

    def use(index: int) -> int:
        draw = draw_of_chip(index, chips=chips, draws=draws)
        which = (draw, index if arrays_differ else None)
        if which not in present:
            present[:] = [which]
            drawn = draw_card(card, seed=seed, draw=draw, array=which[1])
            moved = setup if drawn is card else setup.on_chips_of(drawn)
            for (matrix, weight), nominal in zip(placed, stated, strict=True):
                _put(matrix, weight, moved, nominal, wires=moved.line != setup.line)
        return draw

    try:
        yield use
    finally:
        for (matrix, _), nominal in zip(placed, stated, strict=True):
            matrix.setup, matrix.nominal = setup, nominal


def _put(
    matrix: AnalogMatrix,
    weight: Tensor,
    setup: AnalogSetup,
    nominal: Nominal | None,
    *,
    wires: bool,
) -> None:
    """Give a matrix chips of another setup; the estimate of its wires gets a new anchor."""
    matrix.setup, matrix.nominal = setup, nominal
    if not wires or nominal is None or nominal.estimate is None:
        return
    target = matrix.targets(weight).conductance.detach()
    solved = nominal_tiles(matrix.plan, setup, target, matrix.permutation)
    matrix.nominal = dataclasses.replace(nominal, estimate=solved.estimate)
