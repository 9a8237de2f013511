"""Mean and spread of a converter's output for every ideal output, from simulated tiles.

With states of mean G_w for code w, binary inputs x and a reference column of code 0, the output is

    n = (I − I_ref)/(v·(G_1 − G_0)),   ideal: Σ x·w

Tiles of a card are drawn, with wires, at many densities of ones in inputs and codes, so that the
outputs cover the range; mean and variance of n are fitted by quadratic polynomials in the ideal
output and tabulated from 0 to 2^adc. Rounding is left to the simulator that reads the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from rramfit.export.drawn import card_line
from rramfit.streams import stream, torch_stream

if TYPE_CHECKING:
    from rramfit.card.schema import ModelCard

__all__ = ["output_noise"]

Floats = NDArray[np.float64]

_CHIPS, _COLUMNS = 4, 64
_LEAST_STD = 1e-6  # [codes] a table of zeros would draw from a normal without width


def output_noise(
    card: ModelCard, levels: list[int], *, adc: int, rows: int, vectors: int, seed: int
) -> Floats:
    """Return mean and standard deviation of every output, (2^adc + 1, 2) [codes].

    Parameters
    ----------
    card : ModelCard
    levels : list of int
        Level of every code of a cell.
    adc : int
        Bits of the converter.
    rows : int
        Rows that are read at once.
    vectors : int
        Input vectors of each drawn tile.
    seed : int
    """
    import torch

    from rramfit.array.devices.chips import draw_chips
    from rramfit.array.devices.device_model import DeviceModel
    from rramfit.array.wires.effective import effective_matrix

    model = DeviceModel.from_card(card, dtype=torch.float64)
    rng, generator = stream(seed, "output codes"), torch_stream(seed, "output chips")
    top = 2**adc
    density = rng.uniform(0, 1, size=(_CHIPS, 1, _COLUMNS))
    code = rng.binomial(len(levels) - 1, density, size=(_CHIPS, rows, _COLUMNS))
    level = np.concatenate([np.array(levels)[code], np.full((_CHIPS, rows, 1), levels[0])], axis=2)
    chips = draw_chips(model, _CHIPS, shape=(rows, _COLUMNS + 1), generator=generator)
    programmed = chips.program(torch.as_tensor(level), generator=generator)
    x = (rng.uniform(size=(vectors, rows)) < rng.uniform(size=(vectors, 1))).astype(np.float64)
    line, step = card_line(card), float(model.mean[levels[1]] - model.mean[levels[0]])
    means, ideals = [], []
    for c in range(_CHIPS):
        state = programmed.conductance[c].clamp_min(0)
        t = effective_matrix(state, line).numpy()
        # read noise is independent between reads: its variance adds, without a draw of each
        variance = x @ (programmed.read_std[c] ** 2).numpy()
        read = x @ t + np.sqrt(variance) * rng.standard_normal(variance.shape)
        means.append((read[:, :-1] - read[:, -1:]) / step)
        ideals.append(x @ code[c])
    n, ideal = np.concatenate(means).ravel(), np.concatenate(ideals).ravel()
    seen = ideal <= top
    return _table(ideal[seen], n[seen], top)


def _table(ideal: Floats, n: Floats, top: int) -> Floats:
    """Fit mean and variance by quadratic polynomials, and tabulate them from 0 to `top`."""
    basis = np.stack([np.ones_like(ideal), ideal / top, (ideal / top) ** 2], axis=1)
    mean, *_ = np.linalg.lstsq(basis, n, rcond=None)
    variance, _ = optimize.nnls(basis, (n - basis @ mean) ** 2)  # a variance is never negative
    at = np.arange(top + 1) / top
    grid = np.stack([np.ones_like(at), at, at**2], axis=1)
    std = np.sqrt(np.maximum(grid @ variance, _LEAST_STD**2))
    return np.stack([grid @ mean, std], axis=1)
