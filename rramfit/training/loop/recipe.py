"""Recipes: all that a training does, but for the network, the data and the seed.

A recipe is a TOML file of a name and a table for each stage; a key that is left out has the default
below, or the value of the recipe that this one is ``like``. Those that come with the package are
read by their name.

The rate at share s of all steps, relative to its highest value:

    cosine      rises linearly over the warm-up, then falls to 0 along half a cosine
    one_cycle   rises from 1/25 along half a cosine, then falls along another to 1/10,000
    constant    rises linearly over the warm-up, then stays: weights are to be averaged (`ema`)

Weight decay is of matrices and kernels; biases and norms are left out.
"""

from __future__ import annotations

import math
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rramfit.errors import RecipeError

__all__ = [
    "AwareStage",
    "PlainStage",
    "Recipe",
    "Stage",
    "load_recipe",
    "rate_at",
    "shipped_recipes",
]

ONE_CYCLE_START, ONE_CYCLE_END = 1 / 25, 1e-4
"""Of the highest rate, as in Smith and Topin's runs."""

Share = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[int, Field(ge=0, le=1024)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Stage(BaseModel):
    """One stage of a training."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    epochs: Annotated[int, Field(ge=0, le=1_000_000)]
    batch: Annotated[int, Field(ge=1, le=1_000_000)] = 128
    optimizer: Literal["sgd", "adamw"] = "sgd"
    rate: Positive = Field(default=0.1, description="highest learning rate")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.9, description="sgd, Nesterov")
    decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5e-4
    schedule: Literal["cosine", "one_cycle", "constant"] = "cosine"
    warm_up: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.05, description="share of steps")
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    ema: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="decay of the average of weights; 0: the weights themselves"
    )
    ema_span: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1 / 9, description="share of the steps so far that the average spans at most"
    )
    clip: Positive | None = Field(default=None, description="largest norm of the gradient")
    crop: Pixels = Field(default=0, description="largest shift [pixel]")
    flip: bool = False
    cutout: Pixels = Field(default=0, description="side of a hole [pixel]")
    precision: Literal["float32", "bf16"] = "float32"
    channels_last: bool = False


class PlainStage(Stage):
    """Training of the digital network."""


class AwareStage(Stage):
    """Fine-tuning for chips."""

    ramp: Share = Field(default=0.2, description="share of steps in which non-idealities rise")
    anchors_every: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=1, description="epochs"
    )
    learn_scales: bool = True
    scale_rate: Positive = Field(default=0.1, description="of scales, relative to the rate")
    distillation: Share = Field(default=0.5, description="share of the loss; 0: no teacher")
    temperature: Positive = 2.0
    norm_images: Annotated[int, Field(ge=0, le=1_000_000_000)] = Field(
        default=2560, description="images that norms' statistics are estimated on at the end"
    )


class Recipe(BaseModel):
    """Stages of a training.

    Examples
    --------
    >>> recipe = load_recipe("cifar10")
    >>> recipe.plain.optimizer, recipe.plain.batch
    ('sgd', 128)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    plain: PlainStage
    aware: AwareStage
    retrain: AwareStage = Field(description="for one fitted chip")


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with the package."""
    folder = resources.files("rramfit.training") / "recipes"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir())


def load_recipe(source: str | Path) -> Recipe:
    """Read a recipe: a file, or one that comes with the package by its name.

    With ``like``, the name of another, keys that are left out are those of that one.

    Raises
    ------
    RecipeError
        If there is none, or it is none: names the file, the key, what was found and expected.

    Examples
    --------
    >>> load_recipe("cifar10-adapt").plain == load_recipe("cifar10").plain
    True
    """
    content = _content(source)
    try:
        return Recipe.model_validate(content)
    except ValidationError as e:
        raise _refused(Path(source), e) from None


def _content(source: str | Path) -> dict[str, Any]:
    """Read a recipe's tables, with those of the one that it is like."""
    path = Path(source)
    if str(source) in shipped_recipes():
        text = (resources.files("rramfit.training") / "recipes" / f"{source}.toml").read_text(
            encoding="utf-8"
        )
    else:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as e:
            raise RecipeError(
                path,
                "file",
                found=str(getattr(e, "strerror", None) or e),
                expected=f"a TOML file, or one of {', '.join(shipped_recipes())}",
            ) from None
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise RecipeError(path, "file", found=str(e), expected="TOML") from None
    like = content.pop("like", None)
    if like is None:
        return content
    if like not in shipped_recipes() or like == str(source):
        raise RecipeError(
            path, "like", found=repr(like), expected=f"one of {', '.join(shipped_recipes())}"
        )
    base = _content(like)
    both = {
        name: {**base[name], **own}
        for name, own in content.items()
        if isinstance(own, dict) and isinstance(base.get(name), dict)
    }
    return {**base, **content, **both}


def _refused(path: Path, error: ValidationError) -> RecipeError:
    """Say what is wrong with the first key that is refused."""
    first, *more = error.errors()
    where, *others = (".".join(str(k) for k in e["loc"]) or "file" for e in (first, *more))
    remedy = f"refused too: {', '.join(others)}" if others else ""
    if first["type"] == "extra_forbidden":
        stages: dict[str, type[BaseModel]] = {"plain": PlainStage}
        stages |= {"aware": AwareStage, "retrain": AwareStage}
        inside = len(first["loc"]) > 1
        known = ", ".join((stages[str(first["loc"][0])] if inside else Recipe).model_fields)
        return RecipeError(
            path, where, found="an unknown key", expected=f"one of {known}", remedy=remedy
        )
    if first["type"] == "missing":
        remedy = f"{remedy}; " if remedy else ""
        remedy += 'with like = "cifar10" what is left out is taken from there'
        return RecipeError(path, where, found="nothing", expected="this key", remedy=remedy)
    expected = first["msg"].removeprefix("Input should be ")
    return RecipeError(path, where, found=repr(first["input"]), expected=expected, remedy=remedy)


def rate_at(stage: Stage, share: float) -> float:
    """Learning rate at a share of all steps.

    Examples
    --------
    >>> stage = Stage(epochs=1, rate=2.0, warm_up=0.5)
    >>> [round(rate_at(stage, s), 3) for s in (0.0, 0.25, 0.5, 0.75, 1.0)]
    [0.0, 1.0, 2.0, 1.0, 0.0]
    """

    def between(start: float, end: float, along: float) -> float:
        return end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(along, 1.0)))

    rising = share < stage.warm_up
    along = share / stage.warm_up if rising else (share - stage.warm_up) / (1 - stage.warm_up)
    if stage.schedule == "one_cycle":
        ends = (ONE_CYCLE_START, 1.0) if rising else (1.0, ONE_CYCLE_END)
        return stage.rate * between(*ends, along)
    if stage.schedule == "constant":
        return stage.rate * (along if rising else 1.0)
    return stage.rate * (along if rising else between(1.0, 0.0, along))
