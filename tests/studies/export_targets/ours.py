"""The digits network of `digits_network` trained, put on levels, and run on chips of rramfit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from digits_network import LAYERS, accuracy
from torch import Tensor, nn

from rramfit.card import ModelCard
from rramfit.mapping.layout.codes import Codebook, fit_scales, nearest_code
from rramfit.mapping.layout.plan import plan_matrix
from rramfit.mapping.study.datasets import load_dataset
from rramfit.mapping.tiles.chip_source import TileCells
from rramfit.mapping.tiles.matrix import AnalogMatrix
from rramfit.mapping.tiles.peripherals import Peripherals
from rramfit.mapping.tiles.programmed import ProgrammedMatrix
from rramfit.mapping.tiles.setup import AnalogSetup, analog_setup

HIDDEN = 32
EPOCHS = 150


def one_sided(book: Codebook) -> Codebook:
    """Return the entries of a codebook with one cell of the pair at the lowest level."""
    kept = book.levels.amin(dim=(1, 2)) == 0
    return dataclasses.replace(book, values=book.values[kept], levels=book.levels[kept])


def make_network(card: ModelCard, path: Path) -> dict[str, Any]:
    """Train the network, put its weights on the levels of a card, and write it."""
    data = load_dataset("digits")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
    book = one_sided(analog_setup(card, scheme="arrays").book)
    reach = float(book.values[-1])
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)

    def on_levels(weight: Tensor) -> tuple[Tensor, Tensor]:
        scale = fit_scales(weight, book)
        return book.values[nearest_code(book, weight / scale[:, None])], scale

    layers = [net[1], net[3]]
    for epoch in range(EPOCHS):
        x = data.train_images.flatten(1)
        for k, layer in enumerate(layers):
            weight = layer.weight
            if epoch >= EPOCHS // 2:  # straight through the levels
                code, scale = on_levels(weight)
                weight = weight + (code * scale[:, None] - weight).detach()
            x = nn.functional.linear(x, weight, layer.bias)
            x = x.relu() if k == 0 else x
        loss = nn.functional.cross_entropy(x, data.train_labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    made: dict[str, Any] = {
        "images": data.test_images.flatten(1).double().numpy(),
        "labels": data.test_labels.numpy(),
    }
    x = data.train_images.flatten(1)
    with torch.no_grad():
        for k, layer in zip(LAYERS, layers, strict=True):
            code, scale = on_levels(layer.weight)
            made[f"w{k}"] = (code / reach).double().numpy()
            made[f"scale{k}"] = (scale * reach).double().numpy()
            made[f"bias{k}"] = layer.bias.double().numpy()
            made[f"largest{k}"] = np.float64(x.max())
            x = nn.functional.linear(x, code * scale[:, None], layer.bias).relu()
    np.savez(path, **made)
    return made


def matrices(card: ModelCard, network: dict[str, Any], **options: Any) -> list[AnalogMatrix]:
    """Return the two matrices on tiles of exactly their size, ready to be programmed."""
    found = []
    for k in LAYERS:
        w = torch.tensor(network[f"w{k}"], dtype=torch.float64)
        outputs, inputs = w.shape
        setup = analog_setup(
            card,
            tile=(inputs, outputs),
            scheme="arrays",
            peripherals=plain_peripherals(card),
            dtype=torch.float64,
            **options,
        )
        setup = dataclasses.replace(setup, book=one_sided(setup.book))
        plan = plan_matrix(f"layer{k}", outputs, inputs, tile=(inputs, outputs), scheme="arrays")
        matrix = AnalogMatrix(plan, setup)
        reach = float(setup.book.values[-1])
        matrix.prepare(w, scale=torch.full((outputs,), 1 / reach, dtype=torch.float64))
        matrix.calibrate(torch.ones(1, inputs, dtype=torch.float64))
        found.append(matrix)
    return found


def plain_peripherals(card: ModelCard) -> Peripherals:
    """Return converters as other programs have them: no digital correction of anything."""
    return Peripherals(
        adc_range="calibrated" if card.readout is None else "card",
        correction="none",
        wire_correction=False,
    )


def on_our_chips(
    card: ModelCard, network: dict[str, Any], chips: int, **options: Any
) -> list[float]:
    """Return the accuracy of chips drawn from the card."""
    found = []
    prepared = matrices(card, network, **options)
    for chip in range(chips):
        products = []
        for k, matrix in zip(LAYERS, prepared, strict=True):
            w = torch.tensor(network[f"w{k}"], dtype=torch.float64)
            products.append(_product(matrix, matrix.program(w, seed=0, index=chip)))
        found.append(accuracy(network, products))
    return found


def on_given_cells(
    card: ModelCard, network: dict[str, Any], cells: list[tuple[Any, Any]], **options: Any
) -> float:
    """Return the accuracy on one chip of given conductances (row, col), (G+, G−) by layer."""
    products = []
    for matrix, pair in zip(matrices(card, network, **options), cells, strict=True):
        g = torch.tensor(np.stack(pair), dtype=torch.float64)
        products.append(_product(matrix, wired(matrix, matrix.setup, g)))
    return accuracy(network, products)


def wired(matrix: AnalogMatrix, setup: AnalogSetup, g: Tensor) -> ProgrammedMatrix:
    """Return a matrix on cells of given conductances, (tile, row, col) [S]."""
    from rramfit.array.devices.chips import draw_chips
    from rramfit.mapping.tiles.converters import draw_converters

    model = setup.device_model
    chips = draw_chips(model, len(g), shape=g.shape[1:], generator=torch.Generator())
    slope, b = dataclasses.replace(chips, nonlinearity=None).conduction(g)
    nearest = (g[..., None] - model.mean).abs().argmin(-1)
    cells = TileCells(
        conductance=g,
        slope=slope,
        nonlinearity=b,
        read_std=model.read_noise.std(g, nearest) if "read" in setup.factors else 0 * g,
        accepted=torch.ones_like(g, dtype=torch.bool),
    )
    return matrix.wire(cells, draw_converters(matrix.plan, setup, seed=0, index=0)).fold()


def _product(matrix: AnalogMatrix, programmed: ProgrammedMatrix) -> Callable[[Any], Any]:
    def product(x: Any) -> Any:
        return matrix.multiply(programmed, torch.tensor(x, dtype=torch.float64)).numpy()

    return product
