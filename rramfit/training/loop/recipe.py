"""Recipes: all training parameters except the network, the data and the seed.

A recipe is a TOML file with a name and a table for each stage. A missing key has the default below,
or the value of another recipe named by the key ``like``. Built-in recipes are loaded by name.

Learning rate over the steps, relative to its maximum:

    cosine      linear warm-up, then half a cosine to 0
    one_cycle   half a cosine up from 1/25, then half a cosine down to 1/10,000
    constant    linear warm-up, then constant; average the weights (`ema`)

Weight decay applies to matrices and kernels, not to biases and normalization parameters.
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
    "TeacherStage",
    "load_recipe",
    "rate_at",
    "shipped_recipes",
]

ONE_CYCLE_START, ONE_CYCLE_END = 1 / 25, 1e-4
"""Initial and final rate relative to the maximum, as used by Smith and Topin."""

Share = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[int, Field(ge=0, le=1024)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Stage(BaseModel):
    """Parameters of one training stage."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    epochs: Annotated[int, Field(ge=0, le=1_000_000)]
    batch: Annotated[int, Field(ge=1, le=1_000_000)] = 128
    optimizer: Literal["sgd", "adamw"] = "sgd"
    rate: Positive = Field(default=0.1, description="maximum learning rate")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.9, description="Nesterov momentum of sgd"
    )
    decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5e-4
    schedule: Literal["cosine", "one_cycle", "constant"] = "cosine"
    warm_up: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.05, description="share of steps")
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    ema: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="decay of the moving average of weights; 0: no average"
    )
    ema_span: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1 / 9, description="largest share of the past steps that the average covers"
    )
    clip: Positive | None = Field(default=None, description="maximum norm of the gradient")
    crop: Pixels = Field(default=0, description="largest shift [pixel]")
    flip: bool | Literal["alternating"] = Field(
        default=False, description="mirror at random, or each image in every second epoch"
    )
    cutout: Pixels = Field(default=0, description="side of the cutout square [pixel]")
    precision: Literal["float32", "bf16"] = "float32"
    channels_last: bool = False
    distillation: Share = Field(
        default=0.0, description="share of the distillation loss; 0: no teacher"
    )
    temperature: Positive = 2.0


class PlainStage(Stage):
    """Training of the digital network."""


class TeacherStage(Stage):
    """Training of a digital network that is the teacher of the other stages."""

    network: str = Field(description="a built-in network")


class AwareStage(Stage):
    """Fine-tuning for chips."""

    ramp: Share = Field(
        default=0.2, description="share of steps over which non-idealities increase to full size"
    )
    anchors_every: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=1, description="epochs between updates of the anchors"
    )
    learn_scales: bool = True
    scale_rate: Positive = Field(
        default=0.1, description="learning rate of the scales, relative to the rate"
    )
    distillation: Share = Field(
        default=0.5, description="share of the distillation loss; 0: no teacher"
    )
    bn_recalibration_images: Annotated[int, Field(ge=0, le=1_000_000_000)] = Field(
        default=2560, description="images for BatchNorm recalibration at the end"
    )


class Recipe(BaseModel):
    """Parameters of all training stages.

    Examples
    --------
    >>> recipe = load_recipe("cifar10")
    >>> recipe.plain.optimizer, recipe.plain.batch
    ('sgd', 128)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    teacher: TeacherStage | None = Field(default=None, description="trained first, if given")
    plain: PlainStage
    aware: AwareStage
    retrain: AwareStage = Field(description="for one fitted chip")


def shipped_recipes() -> list[str]:
    """Return the names of the built-in recipes."""
    folder = resources.files("rramfit.training") / "recipes"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir())


def load_recipe(source: str | Path) -> Recipe:
    """Read a recipe from a file, or a built-in recipe by name.

    If the key ``like`` names a built-in recipe, missing keys are taken from it.

    Raises
    ------
    RecipeError
        If the file does not exist or is invalid. The error names the file, the key, the found and
        the expected value.

    Examples
    --------
    >>> load_recipe("cifar10-adapt").plain == load_recipe("cifar10").plain
    True
    """
    content = _content(source)
    try:
        return Recipe.model_validate(content)
    except ValidationError as e:
        raise _recipe_error(Path(source), e) from None


def _content(source: str | Path) -> dict[str, Any]:
    """Read a recipe's tables and fill missing keys from the recipe named by ``like``."""
    path = Path(source)
    if str(source) in shipped_recipes():
        text = (resources.files("rramfit.training") / "recipes" / f"{source}.toml").read_text(
            encoding="utf-8"
        )
    else:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as e:
            missing = "a folder" if path.is_dir() else "no such file"
            raise RecipeError(
                path,
                "file",
                found=missing if isinstance(e, FileNotFoundError | IsADirectoryError) else str(e),
                expected=f"a TOML file, or one of {', '.join(shipped_recipes())}",
            ) from None
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise RecipeError(
            path, "file", found=f"invalid TOML ({e})", expected="a training recipe in TOML"
        ) from None
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


def _recipe_error(path: Path, error: ValidationError) -> RecipeError:
    """Describe the first invalid key, and name the others."""
    first, *more = error.errors()
    where, *others = (".".join(str(k) for k in e["loc"]) or "file" for e in (first, *more))
    remedy = f"other invalid keys: {', '.join(others)}" if others else ""
    if first["type"] == "extra_forbidden":
        stages: dict[str, type[BaseModel]] = {"teacher": TeacherStage, "plain": PlainStage}
        stages |= {"aware": AwareStage, "retrain": AwareStage}
        inside = len(first["loc"]) > 1
        known = ", ".join((stages[str(first["loc"][0])] if inside else Recipe).model_fields)
        return RecipeError(
            path, where, found="an unknown key", expected=f"one of {known}", remedy=remedy
        )
    if first["type"] == "missing":
        remedy = f"{remedy}. Add" if remedy else "Add"
        remedy += ' the key, or add like = "cifar10" to take missing keys from that recipe'
        return RecipeError(path, where, found="nothing", expected="this key", remedy=remedy)
    expected = first["msg"].removeprefix("Input should be ")
    return RecipeError(path, where, found=repr(first["input"]), expected=expected, remedy=remedy)


def rate_at(stage: Stage, share: float) -> float:
    """Compute the learning rate at a share of all steps.

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
