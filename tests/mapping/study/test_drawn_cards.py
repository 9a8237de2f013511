"""Chips of drawn cards: the same chips without errors, others with them, the network unchanged."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from cases import full_card
from torch import nn

from rramfit.array import draw_chips
from rramfit.card import Quantity
from rramfit.card.uncertainty.draw import draw_card
from rramfit.errors import MappingError
from rramfit.mapping import analog_matrices, analog_setup, convert_to_analog
from rramfit.mapping.layers.network import program
from rramfit.mapping.study.datasets import load_dataset
from rramfit.mapping.study.drawn_cards import draw_of_chip, on_drawn_cards
from rramfit.mapping.study.evaluation import accuracy, evaluate
from rramfit.mapping.study.networks import make_network
from rramfit.mapping.tiles.peripherals import Peripherals
from rramfit.measurement.virtual.cards import virtual_card
from rramfit.training.plain import train_plain

QUIET = ("quantisation", "d2d", "c2c", "failure", "stuck", "wires")


def uncertain(card, relative: float, *, between: float | None = None):
    """Return the card with relative errors of its level means, wires and deviations."""

    def erring(q: Quantity, scale: str) -> Quantity:
        made = Quantity.estimated(q.value, relative * q.value, q.unit, scale=scale)
        more = None if between is None else between * q.value
        return made.model_copy(update={"between": more})

    levels = [x.model_copy(update={"mean": erring(x.mean, "linear")}) for x in card.levels]
    names = ("wordline_resistance", "bitline_resistance")
    line = card.line and card.line.model_copy(
        update={n: erring(getattr(card.line, n), "log") for n in names}
    )
    return card.model_copy(update={"levels": levels, "line": line})


@pytest.fixture(scope="module")
def digits():
    """A small mlp, trained, with 200 test images."""
    data = load_dataset("digits")
    net = make_network("mlp", data.shape, data.classes, seed=0)
    train_plain(net, data.train_images, data.train_labels, seed=0)
    return net.eval(), data.train_images[:200], data.test_images[:200], data.test_labels[:200]


def run(digits, card, *, chips=12, draws=0, **options):
    net, inputs, images, labels = digits
    setup = analog_setup(card, tile=(64, 32), factors=QUIET, **options)
    analog = convert_to_analog(net, setup, inputs=inputs)
    return evaluate(
        analog, images, labels, digital=1.0, chips=chips, seed=3, card=card, card_draws=draws
    )


@pytest.fixture(scope="module")
def noisy():
    """Two levels of a chip that costs an mlp some accuracy."""
    return virtual_card("two", mean=[2e-5, 8e-5], spread=0.25, correlation=0.0, array=(64, 32))


def with_poor_spread(card, relative: float):
    """Return the card with relative errors of the spreads of its levels."""

    def erring(q: Quantity) -> Quantity:
        return Quantity.estimated(q.value, relative * q.value, q.unit, scale="log")

    variation = [
        v.model_copy(update={"d2d": erring(v.d2d), "c2c": erring(v.c2c)}) for v in card.variation
    ]
    levels = [x.model_copy(update={"std": erring(x.std)}) for x in card.levels]
    return card.model_copy(update={"levels": levels, "variation": variation})


def test_without_errors_the_numbers_are_the_old_ones_bit_for_bit(digits, noisy):
    plain, drawn = run(digits, noisy), run(digits, noisy, draws=4)
    assert dataclasses.replace(drawn, total=None) == dataclasses.replace(plain, total=None)
    assert dataclasses.replace(drawn.total, card_draws=0) == plain.total
    assert (drawn.total.card_draws, drawn.total.card) == (4, 0.0)


def test_without_errors_every_chip_of_a_drawn_card_is_the_old_one_bit_for_bit(noisy):
    analog, x = linear(noisy, factors=QUIET)
    with torch.no_grad():
        program(analog, seed=3, index=5)
        plain = analog(x)
        with on_drawn_cards(analog, noisy, chips=8, draws=4, seed=3) as use:
            assert use(5) == 2
            program(analog, seed=3, index=5)
            assert torch.equal(analog(x), plain)


def test_errors_of_the_card_leave_all_other_numbers_as_they_were(digits, noisy):
    plain, poor = run(digits, noisy), run(digits, with_poor_spread(noisy, 0.4), draws=6)
    assert dataclasses.replace(poor, total=None) == dataclasses.replace(plain, total=None)
    assert poor.total.value != plain.total.value


def test_a_poorly_known_card_widens_the_interval_and_parts_add_up(digits, noisy):
    parts = {}
    for relative in (0.001, 0.1, 0.4):
        total = run(digits, with_poor_spread(noisy, relative), chips=16, draws=8).total
        assert total.stderr == pytest.approx(math.hypot(total.chips, total.card, total.images))
        assert total.low < total.value < total.high
        parts[relative] = total
    assert parts[0.001].card < 0.1 * parts[0.001].chips
    assert parts[0.001].card < parts[0.1].card < 0.5 * parts[0.4].card
    exact = run(digits, noisy, chips=16).total
    width = {k: t.high - t.low for k, t in parts.items()}
    assert width[0.001] == pytest.approx(exact.high - exact.low, rel=0.15)
    assert width[0.4] > 1.5 * width[0.001]


def linear(card, **options):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(40, 8, generator=generator)
    net = nn.Sequential(nn.Linear(8, 2, bias=False))
    nn.init.normal_(net[0].weight, generator=generator)
    options = {"dtype": torch.float64, **options}
    setup = analog_setup(card, tile=(8, 8), **options)
    return convert_to_analog(net.double(), setup, inputs=x.double()).eval(), x.double()


def test_drawn_levels_reach_the_cells_at_the_targets_of_the_mapping():
    card = uncertain(full_card(), 0.1)
    analog, _ = linear(card, factors=("quantisation",))
    matrix = analog_matrices(analog)[0]
    setup = matrix.setup
    with on_drawn_cards(analog, card, chips=4, draws=2, seed=5) as use:
        for index in range(4):
            draw = use(index)
            assert draw == draw_of_chip(index, chips=4, draws=2) == index // 2
            program(analog, seed=5, index=index)
            wanted = [x.mean.value for x in draw_card(card, seed=5, draw=draw).levels]
            found = matrix.programmed.cells.conductance.unique().tolist()
            assert all(min(abs(g - w) for w in wanted) < 1e-12 for g in found)
            assert torch.equal(matrix.setup.book.means, setup.book.means)
    assert matrix.setup is setup


def test_a_weight_between_two_levels_moves_with_the_nearer_one():
    card = uncertain(full_card(), 0.1)
    analog, _ = linear(card, factors=())
    matrix = analog_matrices(analog)[0]
    program(analog, seed=5)
    before = matrix.programmed.cells.conductance
    with on_drawn_cards(analog, card, chips=4, draws=2, seed=5) as use:
        use(0)
        program(analog, seed=5)
        after = matrix.programmed.cells.conductance
    means = [[x.mean.value for x in c.levels] for c in (card, draw_card(card, seed=5, draw=0))]
    shifts = np.subtract(means[1], means[0])
    moved = (after - before).numpy().ravel()
    assert np.isclose(moved[:, None], [*shifts, 0.0], atol=1e-12).any(axis=1).all()
    assert np.ptp(moved) > 0


@pytest.mark.parametrize("wires_by", ["exact", "estimate"])
@pytest.mark.parametrize("rows", ["grounded", "gated"])
def test_drawn_wires_are_solved_and_the_mapping_keeps_its_gain(wires_by, rows):
    card = full_card(inactive=rows)
    card = card.model_copy(update={"line": uncertain(card, 0.5).line})
    coding = "bit_serial" if rows == "gated" else "amplitude"
    analog, x = linear(
        card,
        factors=("quantisation", "wires"),
        wires_by=wires_by,
        peripherals=Peripherals(input_coding=coding),
    )
    matrix = analog_matrices(analog)[0]
    gain, anchor = matrix.nominal.gain, matrix.nominal.estimate
    with torch.no_grad():
        program(analog, seed=1)
        stated = analog(x)
        with on_drawn_cards(analog, card, chips=4, draws=2, seed=1) as use:
            use(0)
            program(analog, seed=1)
            found = analog(x)
            assert torch.equal(matrix.nominal.gain, gain)
            true = matrix.setup.line
    direct, _ = linear(
        draw_card(card, seed=1, draw=0),
        factors=("quantisation", "wires"),
        wires_by=wires_by,
        peripherals=Peripherals(input_coding=coding),
    )
    assert true == analog_matrices(direct)[0].setup.line
    with torch.no_grad():
        program(direct, seed=1)
        analog_matrices(direct)[0].programmed = dataclasses.replace(
            analog_matrices(direct)[0].programmed, gain=gain, folded=None
        ).fold()
        assert found == pytest.approx(direct(x), rel=1e-9)
    assert not torch.allclose(found, stated, rtol=1e-6)
    assert matrix.nominal.estimate is anchor


def test_arrays_that_differ_give_every_chip_its_own_card(digits, noisy):
    alike = run(digits, uncertain(noisy, 1e-6), chips=16, draws=2)
    differ = run(digits, uncertain(noisy, 1e-6, between=0.25), chips=16, draws=2)
    assert differ.total.chips > 1.5 * alike.total.chips


def test_what_cannot_be_drawn_is_refused(digits, noisy):
    with pytest.raises(MappingError, match="2 chips each"):
        run(digits, noisy, chips=7, draws=4)
    with pytest.raises(MappingError, match="at least 2 draws"):
        run(digits, noisy, chips=7, draws=1)
    net, inputs, images, labels = digits
    analog = convert_to_analog(net, analog_setup(noisy, tile=(64, 32)), inputs=inputs)
    with pytest.raises(MappingError, match="card="):
        evaluate(analog, images, labels, digital=1.0, chips=4, card_draws=2)
    setup = analog_setup(noisy, tile=(64, 32))
    chips = draw_chips(setup.model, 1, generator=torch.Generator().manual_seed(0))
    given = analog_setup(noisy, tile=(64, 32), origin=chips)
    analog = convert_to_analog(net, given, inputs=inputs)
    with pytest.raises(MappingError, match="measured ones"):
        evaluate(analog, images, labels, digital=1.0, chips=4, card=noisy, card_draws=2)


def test_the_accuracy_of_one_chip_is_still_that_of_the_network(digits, noisy):
    net, inputs, images, labels = digits
    analog = convert_to_analog(net, analog_setup(noisy, tile=(64, 32)), inputs=inputs)
    found = evaluate(analog, images, labels, digital=1.0, chips=2, seed=3)
    program(analog, seed=3, index=1)
    assert accuracy(analog, images, labels) == found.accuracies[1]
