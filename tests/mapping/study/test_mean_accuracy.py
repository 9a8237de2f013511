"""Parts of the mean accuracy: against the variances that were put in, with the coverage of 95 %."""

import math

import numpy as np
import pytest

from rramfit.mapping.study.mean_accuracy import mean_accuracy

MEAN, CARD, CHIP, IMAGES = 0.6, 0.04, 0.03, 400


def nested(rng, draws, per_draw, *, card=CARD, chip=CHIP, images=IMAGES):
    """Accuracies of chips of drawn cards, and the share right on each image, by draw."""
    level = MEAN + card * rng.standard_normal(draws)
    hard = 0.08 * rng.standard_normal(images)  # some images are harder than others
    p = np.repeat(level, per_draw)[:, None] + chip * rng.standard_normal((draws * per_draw, 1))
    right = rng.random((draws * per_draw, images)) < np.clip(p - hard, 0, 1)
    group = np.repeat(np.arange(draws), per_draw)
    return right.mean(axis=1), right.reshape(draws, per_draw, images).mean(axis=1), group


@pytest.mark.parametrize(("draws", "per_draw"), [(10, 2), (20, 5), (8, 12)])
@pytest.mark.parametrize("card", [0.015, 0.06])
def test_the_interval_holds_the_mean_of_the_card_that_is_true(draws, per_draw, card):
    rng = np.random.default_rng(draws)
    repeats, hits, half = 600, 0, 0.0
    for _ in range(repeats):
        accuracies, right, group = nested(rng, draws, per_draw, card=card)
        found = mean_accuracy(accuracies, right, draws=group)
        truth = MEAN + card * rng.standard_normal()
        hits += found.low <= truth <= found.high
        half += (found.high - found.low) / 2 / repeats
    error = math.sqrt(0.95 * 0.05 / repeats)
    assert 0.93 - 2 * error < hits / repeats < 0.97 + 2 * error
    exact = math.sqrt(
        card**2 * (1 + 1 / draws)
        + (CHIP**2 + MEAN * (1 - MEAN) / IMAGES) / (draws * per_draw)
        + 0.08**2 / IMAGES
    )
    assert 0.95 * exact < half / 1.96 < 2 * exact


def test_parts_are_the_variances_that_were_put_in():
    rng = np.random.default_rng(1)
    draws, per_draw = 30, 6
    found = [nested(rng, draws, per_draw) for _ in range(60)]
    parts = [mean_accuracy(a, right, draws=group) for a, right, group in found]
    card = np.median([p.card**2 for p in parts])
    chips = np.mean([p.chips**2 for p in parts])
    assert card == pytest.approx(CARD**2 * (1 + 1 / draws), rel=0.15)
    own = CHIP**2 + MEAN * (1 - MEAN) / IMAGES  # a chip errs on other images than the next
    assert chips == pytest.approx(own / (draws * per_draw), rel=0.15)
    images = np.mean([p.images**2 for p in parts])
    assert images == pytest.approx(0.08**2 / IMAGES, rel=0.15)
    for p in parts:
        assert p.stderr**2 == pytest.approx(p.chips**2 + p.card**2 + p.images**2)
        assert p.low < p.value < p.high


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
    accuracies, right, group = nested(rng, 10, 4, card=0.0)
    plain = mean_accuracy(accuracies, right)
    assert [name for name, _ in plain.parts()] == ["chips", "test images"]
    exact = mean_accuracy(accuracies, right, draws=group, exact_card=True)
    assert (exact.chips, exact.card) == (plain.chips, 0.0)
    assert exact.to_json()["parts"]["card"] == 0.0
    assert plain.to_json()["parts"]["card"] is None


def test_unequal_numbers_of_chips():
    rng = np.random.default_rng(4)
    accuracies, right, group = nested(rng, 7, 3)
    found = mean_accuracy(accuracies[:-1], right, draws=group[:-1])
    assert found.card_draws == 7
    assert found.low < MEAN < found.high
