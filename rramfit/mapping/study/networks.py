"""Built-in networks, and user networks by `module:callable`.

mlp       pixels → 64 → classes, ReLU
vgg5      four 3 × 3 convolutions of 64, 128, 256 and 256 channels, each with 2 × 2 pooling,
          BatchNorm and ReLU, and one linear layer: 971,850 parameters for 32 × 32 colour images
vgg5-wide the same with 96, 192, 384 and 384 channels: 2,177,146 parameters
vgg7      three blocks of two 3 × 3 convolutions of 64, 256 and 256 channels, with 2 × 2 pooling
          between the two, and one linear layer: a digital teacher for the others
resnet8   a 3 × 3 convolution and three residual blocks of 16, 32 and 64 channels, global pooling

The widths are chosen here. Each network takes images (sample, channel, height, width).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from rramfit.errors import CheckpointError, MappingError
from rramfit.mapping.layers.tensor_files import load_tensors
from rramfit.mapping.study.imported import import_callable

if TYPE_CHECKING:
    from rramfit.mapping.study.datasets import Dataset

__all__ = [
    "NETWORKS",
    "ResidualBlock",
    "load_weights",
    "make_network",
    "mlp",
    "resnet8",
    "vgg5",
    "vgg7",
]

VGG5_WIDTHS = (64, 128, 256, 256)
VGG5_WIDE_WIDTHS = (96, 192, 384, 384)
VGG7_WIDTHS = (64, 256, 256)
RESNET8_WIDTHS = (16, 32, 64)
MLP_HIDDEN = 64


def mlp(shape: tuple[int, ...], classes: int) -> nn.Module:
    """Make a network of two linear layers."""
    inputs = math.prod(shape)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(inputs, MLP_HIDDEN), nn.ReLU(), nn.Linear(MLP_HIDDEN, classes)
    )


def vgg5(
    shape: tuple[int, int, int], classes: int, widths: Sequence[int] = VGG5_WIDTHS
) -> nn.Module:
    """Make a network of four convolutions, each with 2 × 2 pooling, and one linear layer.

    Examples
    --------
    >>> sum(p.numel() for p in vgg5((3, 32, 32), 10).parameters())
    971850
    """
    layers: list[nn.Module] = []
    channels, height, width = shape
    for out in widths:
        layers += [nn.Conv2d(channels, out, 3, padding=1, bias=False)]
        layers += [nn.MaxPool2d(2, ceil_mode=True), nn.BatchNorm2d(out), nn.ReLU()]
        channels, height, width = out, -(-height // 2), -(-width // 2)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * width, classes))


def vgg7(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Make a network of three blocks of two convolutions, global pooling and one linear layer.

    Examples
    --------
    >>> sum(isinstance(m, nn.Conv2d) for m in vgg7((3, 32, 32), 10))
    6
    """
    layers: list[nn.Module] = []
    channels = shape[0]
    for out in VGG7_WIDTHS:
        layers += [nn.Conv2d(channels, out, 3, padding=1, bias=False)]
        layers += [nn.MaxPool2d(2, ceil_mode=True), nn.BatchNorm2d(out), nn.GELU()]
        layers += [nn.Conv2d(out, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.GELU()]
        channels = out
    return nn.Sequential(
        *layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(channels, classes)
    )


class ResidualBlock(nn.Module):
    """Two convolutions with a shortcut connection."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """Add the convolutions' output to the shortcut."""
        inner = F.relu(self.norm1(self.conv1(x)))
        out: Tensor = F.relu(self.norm2(self.conv2(inner)) + self.shortcut(x))
        return out


def resnet8(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Make a network of one convolution, three residual blocks and one linear layer."""
    first, *rest = RESNET8_WIDTHS
    blocks: list[nn.Module] = [ResidualBlock(first, first, 1)]
    for before, after in zip(RESNET8_WIDTHS, rest, strict=False):
        blocks.append(ResidualBlock(before, after, 2))
    return nn.Sequential(
        nn.Conv2d(shape[0], first, 3, padding=1, bias=False),
        nn.BatchNorm2d(first),
        nn.ReLU(),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(RESNET8_WIDTHS[-1], classes),
    )


NETWORKS: dict[str, Callable[[Any, int], nn.Module]] = {
    "mlp": mlp,
    "vgg5": vgg5,
    "vgg5-wide": functools.partial(vgg5, widths=VGG5_WIDE_WIDTHS),
    "vgg7": vgg7,
    "resnet8": resnet8,
}


def make_network(
    name: str,
    shape: tuple[int, ...],
    classes: int,
    *,
    seed: int = 0,
    data: Dataset | None = None,
) -> nn.Module:
    """Make a network by name.

    Parameters
    ----------
    name : str
        One of `NETWORKS`, or ``module:callable``. The callable takes no arguments; the working
        folder is searched too.
    shape : tuple of int
        Shape of a sample: (channels, height, width) of an image.
    classes : int
    seed : int
        Seed of the initial weights.
    data : Dataset, optional
        Data of another kind than images with classes: tokens, or a regression.

    Raises
    ------
    MappingError
        If the network does not exist, or does not map such images to class scores.
    """
    if name in NETWORKS and data is not None:
        _check_built_in(name, data)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name in NETWORKS:
            return NETWORKS[name](shape, classes)
        return _by_import(name, shape, classes, data)


def _check_built_in(name: str, data: Dataset) -> None:
    """Check that a built-in network can be used with data."""
    plain = len(data.output_shape) == 1 and data.train_images.is_floating_point()
    if plain and (name == "mlp" or len(data.shape) == 3):
        return
    inputs = "numbers" if name == "mlp" else "images"
    msg = (
        f"network {name!r} maps {inputs} to one vector; {data.name} has samples "
        f"{data.shape} and outputs {data.output_shape}. Use module:callable"
    )
    raise MappingError(msg)


def _by_import(name: str, shape: tuple[int, ...], classes: int, data: Dataset | None) -> nn.Module:
    if ":" not in name:
        msg = f"unknown network {name!r}; expected {', '.join(NETWORKS)} or module:callable"
        raise MappingError(msg)
    make = import_callable(name)
    try:
        made = make()
    except Exception as e:  # user code can raise anything
        msg = f"network {name!r}: {type(e).__name__}: {e}; expected a callable without arguments"
        raise MappingError(msg) from e
    if not isinstance(made, nn.Module):
        msg = f"network {name!r} returned a {type(made).__name__}; expected a torch.nn.Module"
        raise MappingError(msg)
    what = "an image" if len(shape) == 3 else "an input"
    wanted_shape = (classes,) if data is None else data.output_shape
    wanted = f"expected {' × '.join(map(str, wanted_shape))} outputs for {what} {shape}"
    sample = torch.zeros(1, *shape) if data is None else data.train_images[:1]
    try:
        with torch.no_grad():
            out = made.eval()(sample)
    except Exception as e:  # user code can raise anything
        msg = f"network {name!r}: {type(e).__name__}: {e}; {wanted}"
        raise MappingError(msg) from e
    more = data is not None and data.at_least
    if not isinstance(out, Tensor) or not _fits(out, wanted_shape, more=more):
        found = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        msg = f"network {name!r} returned {found}; {wanted}"
        raise MappingError(msg)
    if not any(p.requires_grad for p in made.parameters()):
        msg = f"network {name!r} has no trainable parameters; expected at least one"
        raise MappingError(msg)
    return made.train()


def _fits(out: Tensor, wanted: tuple[int, ...], *, more: bool) -> bool:
    """Return whether the output for one sample has the wanted shape, or more classes if allowed."""
    if wanted == (1,) and tuple(out.shape) == (1,):
        return True
    last = out.shape[-1] if out.ndim else 0
    enough = last >= wanted[-1] if more else last == wanted[-1]
    return tuple(out.shape[:-1]) == (1, *wanted[:-1]) and enough


def load_weights(model: nn.Module, path: Path) -> dict[str, dict[str, Tensor]] | None:
    """Load a checkpoint: a state dict, or a dict that holds one as ``model``.

    Returns
    -------
    dict or None
        Scales and placements of a network trained for chips, by layer name, for
        `convert_to_analog`; stored as ``laid``.

    Raises
    ------
    CheckpointError
        If the checkpoint belongs to another network; the message names the first difference.
    """
    expected = "the state dict of this network"
    content = load_tensors(path, expected=expected)
    weights, mapping = content.get("model", content), content.get("laid")
    if not isinstance(weights, Mapping) or not isinstance(mapping, Mapping | None):
        raise CheckpointError(path, "weights", found="none", expected=expected)
    wanted = model.state_dict()
    differ = [
        f"{name} {_shape(weights.get(name))}, not {_shape(wanted.get(name))}"
        for name in [*wanted, *(n for n in weights if n not in wanted)]
        if _shape(weights.get(name)) != _shape(wanted.get(name))
    ]
    if differ:
        more = f" and {len(differ) - 1} others" if len(differ) > 1 else ""
        raise CheckpointError(path, "weights", found=differ[0] + more, expected=expected)
    model.load_state_dict(weights)
    return dict(mapping) if mapping is not None and "model" in content else None


def _shape(weight: object) -> str:
    """Describe the entry of a state dict."""
    if isinstance(weight, Tensor):
        return " × ".join(map(str, weight.shape)) or "scalar"
    return "missing" if weight is None else type(weight).__name__
