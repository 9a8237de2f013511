"""Parts of the mean accuracy: against the variances that were put in, with the coverage of 95 %."""

import math

import numpy as np
import pytest

from rramfit.mapping.study.mean_accuracy import mean_accuracy

MEAN, CARD, CHIP, OWN, IMAGES = 0.6, 0.04, 0.03, 0.01, 400
HARD = 0.08  # some images are harder than others


def nested(rng, draws, per_draw, *, card=CARD, images=IMAGES):
    """Chips of drawn cards and of the stated one: accuracies, share right by image, draw.

    A chip has much in common on both cards (`CHIP`), and a part that differs between them (`OWN`).
    """
    n = draws * per_draw
    group = np.repeat(np.arange(draws), per_draw)
    hard = HARD * rng.standard_normal(images)
    chip = MEAN + CHIP * rng.standard_normal(n)
    drawn = chip + card * rng.standard_normal(draws)[group] + OWN * rng.standard_normal(n)
    luck = rng.random((n, images))  # the same chip errs on the same images
    stated, right = (luck < np.clip(p[:, None] - hard, 0, 1) for p in (chip, drawn))
    by_draw = right.reshape(draws, per_draw, images).mean(axis=1)
    return right.mean(axis=1), by_draw, {"stated": stated.mean(axis=1), "draws": group}


@pytest.mark.parametrize(("draws", "per_draw"), [(10, 2), (20, 5), (8, 12)])
@pytest.mark.parametrize("card", [0.01, 0.06])
def test_the_interval_holds_the_mean_of_the_card_that_is_true(draws, per_draw, card):
    rng = np.random.default_rng(draws)
    repeats, hits, half = 400, 0, 0.0
    for _ in range(repeats):
        accuracies, right, more = nested(rng, draws, per_draw, card=card)
        found = mean_accuracy(accuracies, right, **more)
        truth = MEAN + card * rng.standard_normal()
        hits += found.low <= truth <= found.high
        half += (found.high - found.low) / 2 / repeats
    error = math.sqrt(0.95 * 0.05 / repeats)
    assert 0.93 - 2 * error < hits / repeats < 0.97 + 2 * error
    exact = math.sqrt(
        card**2 * (1 + 1 / draws)
        + (CHIP**2 + OWN**2 + MEAN * (1 - MEAN) / IMAGES) / (draws * per_draw)
        + HARD**2 / IMAGES
    )
    assert 0.95 * exact < half / 1.96 < 1.35 * exact


def test_parts_are_the_variances_that_were_put_in():
    rng = np.random.default_rng(1)
    draws, per_draw = 30, 6
    found = [nested(rng, draws, per_draw) for _ in range(60)]
    parts = [mean_accuracy(a, right, **more) for a, right, more in found]
    card = np.median([p.card**2 for p in parts])
    chips = np.mean([p.chips**2 for p in parts])
    assert card == pytest.approx(CARD**2 * (1 + 1 / draws), rel=0.15)
    own = CHIP**2 + OWN**2 + MEAN * (1 - MEAN) / IMAGES  # a chip errs on other images than the next
    assert chips == pytest.approx(own / (draws * per_draw), rel=0.15)
    images = np.mean([p.images**2 for p in parts])
    assert images == pytest.approx(HARD**2 / IMAGES, rel=0.15)
    for p in parts:
        assert p.stderr**2 == pytest.approx(p.chips**2 + p.card**2 + p.images**2)
        assert p.low < p.value < p.high


def test_a_card_that_costs_accuracy_shifts_the_mean():
    rng = np.random.default_rng(5)
    accuracies, right, more = nested(rng, 10, 4)
    found = mean_accuracy(accuracies - 0.1, right, **more)
    assert found.value == pytest.approx(accuracies.mean() - 0.1)


def test_one_chip_has_the_binomial_error_of_its_images():
    rng = np.random.default_rng(2)
    right = (rng.random((1, 500)) < 0.8).astype(float)
    p = right.mean()
    found = mean_accuracy([p], right)
    assert found.images == pytest.approx(math.sqrt(p * (1 - p) / 499))
    assert (found.low, found.high, found.chips) == (0.0, 1.0, 0.0)


def test_equal_chips_leave_the_images_only():
    right = np.broadcast_to((np.arange(200) % 10 > 0).astype(float), (12, 200))
    found = mean_accuracy([0.9] * 12, right)
    assert found.chips == pytest.approx(0.0, abs=1e-12)
    assert found.card == 0.0
    assert found.images == pytest.approx(math.sqrt(0.09 / 199))
    assert found.high - found.value == pytest.approx(1.972 * found.images, rel=1e-3)


def test_without_draws_there_is_no_part_of_the_card():
    rng = np.random.default_rng(3)
    accuracies, right, _ = nested(rng, 40, 1)
    plain = mean_accuracy(accuracies, right)
    assert [name for name, _ in plain.parts()] == ["chips", "test images"]
    assert plain.to_json()["parts"]["card"] is None
    assert plain.chips == pytest.approx(np.std(accuracies, ddof=1) / math.sqrt(40))


def test_draws_that_change_nothing_leave_no_part_of_the_card():
    rng = np.random.default_rng(4)
    accuracies, right, more = nested(rng, 10, 4)
    found = mean_accuracy(accuracies, right, stated=accuracies, draws=more["draws"])
    assert found.card < 1e-4
    plain = mean_accuracy(accuracies, np.repeat(right, 4, axis=0))
    assert found.high - found.low < 1.3 * (plain.high - plain.low)


def test_unequal_numbers_of_chips():
    rng = np.random.default_rng(4)
    accuracies, right, more = nested(rng, 7, 3)
    fewer = {name: x[:-1] for name, x in more.items()}
    found = mean_accuracy(accuracies[:-1], right, **fewer)
    assert found.card_draws == 7
    assert found.low < MEAN < found.high
