"""Recipes: defaults, inheritance, errors, learning-rate schedules."""

import math

import pytest

from rramfit.errors import RecipeError
from rramfit.training import load_recipe
from rramfit.training.loop.recipe import Stage, rate_at, shipped_recipes

WHOLE = """
name = "mine"
[plain]
epochs = 2
[aware]
epochs = 1
[retrain]
epochs = 1
"""


def test_built_in_recipes_are_read_by_name():
    later = [f"cifar10-{stage}" for stage in ("adapt", "average", "finish")]
    assert shipped_recipes() == ["cifar10", *later, "cifar10-wide", "digits"]
    for name in shipped_recipes():
        recipe = load_recipe(name)
        assert recipe.name == name
        assert recipe.retrain.epochs <= recipe.aware.epochs
    assert load_recipe("cifar10").retrain.epochs <= 2


def test_missing_keys_have_defaults(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(WHOLE)
    recipe = load_recipe(path)
    assert (recipe.plain.epochs, recipe.aware.learn_scales, recipe.plain.batch) == (2, True, 128)


def test_like_takes_missing_keys_from_another_recipe(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\nlike = "digits"\n[aware]\nepochs = 3\n')
    mine, digits = load_recipe(path), load_recipe("digits")
    assert mine.name == "mine"
    assert mine.plain == digits.plain
    assert mine.aware == digits.aware.model_copy(update={"epochs": 3})
    path.write_text('name = "mine"\nlike = "letters"\n')
    with pytest.raises(RecipeError, match="digits") as e:
        load_recipe(path)
    assert (e.value.where, e.value.found) == ("like", "'letters'")


@pytest.mark.parametrize(
    ("change", "where", "found", "expected"),
    [
        (("epochs = 2", "epochs = -2"), "plain.epochs", "-2", "greater than or equal to 0"),
        (("epochs = 2", "epochs = 2\ncrop = 100000000000"), "plain.crop", "10000", "1024"),
        (("epochs = 2", "epochs = true"), "plain.epochs", "True", "integer"),
        (("epochs = 2", "epochs = 2\nrate = 'fast'"), "plain.rate", "'fast'", "number"),
        (("epochs = 2", "epochs = 2\nspeed = 1"), "plain.speed", "an unknown key", "momentum"),
        (("[aware]\nepochs = 1", "[aware]\nramp = 1"), "aware.epochs", "nothing", "this key"),
        (("[plain]", "[plane]"), "plain", "nothing", "this key"),
        (("epochs = 2", "epochs = 2\nprecision = 'int4'"), "plain.precision", "'int4'", "bf16"),
        (("[plain]", "[plain"), "file", "", "TOML"),
    ],
)
def test_an_error_names_file_key_found_and_expected(tmp_path, change, where, found, expected):
    path = tmp_path / "mine.toml"
    path.write_text(WHOLE.replace(*change, 1))
    with pytest.raises(RecipeError) as e:
        load_recipe(path)
    assert e.value.path == path
    assert e.value.where == where
    assert found in e.value.found
    assert expected in e.value.expected


def test_the_error_for_a_missing_recipe_lists_the_built_in_recipes():
    with pytest.raises(RecipeError, match="cifar10-average, cifar10-finish, cifar10-wide, digits"):
        load_recipe("imagenet")


def test_one_cycle_equals_the_schedule_of_torch():
    import torch

    stage = Stage(epochs=1, rate=0.3, schedule="one_cycle", warm_up=0.3)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    steps = 51
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.3, total_steps=steps, pct_start=0.3 * 50 / steps + 1 / steps
    )
    highest = 0
    for step in range(steps):
        ours, theirs = rate_at(stage, step / (steps - 1)), schedule.get_last_lr()[0]
        assert ours == pytest.approx(theirs, rel=1e-3, abs=3e-5)  # it ends 25 times lower
        highest = max(highest, ours)
        optimizer.step()
        schedule.step()
    assert highest == pytest.approx(0.3)


def test_a_constant_rate_has_a_linear_warm_up():
    stage = Stage(epochs=1, rate=2.0, schedule="constant", warm_up=0.5)
    assert [rate_at(stage, s) for s in (0.0, 0.25, 0.5, 1.0)] == [0.0, 1.0, 2.0, 2.0]


def test_cosine_has_a_linear_warm_up_and_ends_at_zero():
    stage = Stage(epochs=1, rate=1.0, warm_up=0.2)
    assert rate_at(stage, 0.1) == pytest.approx(0.5)
    assert rate_at(stage, 0.4) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert rate_at(stage, 1.0) == pytest.approx(0.0, abs=1e-12)
