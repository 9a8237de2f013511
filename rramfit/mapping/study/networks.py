"""Built-in networks, and user networks by `module:callable`.

mlp       pixels → 64 → classes, ReLU
vgg5      four 3 × 3 convolutions of 64, 128, 256 and 256 channels, each with 2 × 2 pooling,
          BatchNorm and ReLU, and one linear layer: 971,850 parameters for 32 × 32 colour images
resnet8   a 3 × 3 convolution and three residual blocks of 16, 32 and 64 channels, global pooling

The widths are chosen here. Each network takes images (sample, channel, height, width).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from rramfit.errors import CheckpointError, MappingError
from rramfit.mapping.layers.tensor_files import load_tensors
from rramfit.mapping.study.imported import import_callable

__all__ = ["NETWORKS", "ResidualBlock", "load_weights", "make_network", "mlp", "resnet8", "vgg5"]

VGG5_WIDTHS = (64, 128, 256, 256)
RESNET8_WIDTHS = (16, 32, 64)
MLP_HIDDEN = 64


def mlp(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Make a network of two linear layers."""
    inputs = shape[0] * shape[1] * shape[2]
    return nn.Sequential(
        nn.Flatten(), nn.Linear(inputs, MLP_HIDDEN), nn.ReLU(), nn.Linear(MLP_HIDDEN, classes)
    )


def vgg5(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Make a network of four convolutions, each with 2 × 2 pooling, and one linear layer.

    Examples
    --------
    >>> sum(p.numel() for p in vgg5((3, 32, 32), 10).parameters())
    971850
    """
    layers: list[nn.Module] = []
    channels, height, width = shape
    for out in VGG5_WIDTHS:
        layers += [nn.Conv2d(channels, out, 3, padding=1, bias=False)]
        layers += [nn.MaxPool2d(2, ceil_mode=True), nn.BatchNorm2d(out), nn.ReLU()]
        channels, height, width = out, -(-height // 2), -(-width // 2)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * width, classes))


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


NETWORKS: dict[str, Callable[[tuple[int, int, int], int], nn.Module]] = {
    "mlp": mlp,
    "vgg5": vgg5,
    "resnet8": resnet8,
}


def make_network(
    name: str, shape: tuple[int, int, int], classes: int, *, seed: int = 0
) -> nn.Module:
    """Make a network by name.

    Parameters
    ----------
    name : str
        One of `NETWORKS`, or ``module:callable``. The callable takes no arguments; the working
        folder is searched too.
    shape : (channels, height, width)
    classes : int
    seed : int
        Seed of the initial weights.

    Raises
    ------
    MappingError
        If the network does not exist, or does not map such images to class scores.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name in NETWORKS:
            return NETWORKS[name](shape, classes)
        return _by_import(name, shape, classes)


def _by_import(name: str, shape: tuple[int, int, int], classes: int) -> nn.Module:
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
    wanted = f"expected {classes} outputs for an image {shape}"
    try:
        with torch.no_grad():
            out = made.eval()(torch.zeros(1, *shape))
    except Exception as e:  # user code can raise anything
        msg = f"network {name!r}: {type(e).__name__}: {e}; {wanted}"
        raise MappingError(msg) from e
    if not isinstance(out, Tensor) or tuple(out.shape) != (1, classes):
        found = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        msg = f"network {name!r} returned {found}; {wanted}"
        raise MappingError(msg)
    if not any(p.requires_grad for p in made.parameters()):
        msg = f"network {name!r} has no trainable parameters; expected at least one"
        raise MappingError(msg)
    return made.train()


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
