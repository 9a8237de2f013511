"""A small network on the levels of a card, in one file that every target reads. NumPy only.

Two matrices, 64 → 32 → 10, on the 8 × 8 digits of scikit-learn. Weights are on the levels already:
w = (G+ − G−)/(G_max − G_min) with one cell of each pair at the lowest level, which every target can
express. Each output has a digital scale and a bias; inputs of a matrix are 0 to 1.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Product = Callable[[Floats], Floats]
"""From inputs (vector, input) between 0 and 1 to products with w, (vector, output)."""

LAYERS = (1, 2)


def load(path: Path | str) -> dict[str, Any]:
    """Return the arrays of a network: w, scale, bias, largest of each layer; images, labels."""
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def accuracy(
    network: dict[str, Any], products: Sequence[Product], images: int | None = None
) -> float:
    """Return the share of test images that the network gets right with these products."""
    x = network["images"][:images]
    for k, product in zip(LAYERS, products, strict=True):
        largest = float(network[f"largest{k}"])
        y = product(np.clip(x / largest, 0.0, 1.0)) * largest
        x = y * network[f"scale{k}"] + network[f"bias{k}"]
        x = np.maximum(x, 0.0) if k != LAYERS[-1] else x
    return float((x.argmax(1) == network["labels"][:images]).mean())


def exact(network: dict[str, Any]) -> float:
    """Return the accuracy of the weights on their levels, without any error."""
    return accuracy(network, [lambda x, k=k: x @ network[f"w{k}"].T for k in LAYERS])


def report(**found: object) -> None:
    """Print what a target found, as one line of JSON."""
    print("RESULT", json.dumps(found))
