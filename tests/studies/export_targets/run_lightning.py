"""Run the digits network in aihwkit-lightning: NETWORK file, number of draws of its noise.

aihwkit-lightning has the noise of weights in training only, so that the network runs in training
mode here, with a new noise for every draw. The folder of the export must be on the Python path.
"""

from __future__ import annotations

import sys

import numpy as np
import rram_lightning
import torch
from aihwkit_lightning.nn import AnalogLinear
from digits_network import LAYERS, accuracy, load, report


def main(network_file: str, draws: int) -> None:
    """Print the accuracy of every draw."""
    network = load(network_file)
    torch.manual_seed(0)
    products = []
    for k in LAYERS:
        w = torch.tensor(network[f"w{k}"], dtype=torch.float32)
        config = rram_lightning.rpu_config()
        config.pre_post.input_range.init_from_data = 0
        config.pre_post.input_range.init_value = 1.0
        layer = AnalogLinear(w.shape[1], w.shape[0], bias=False, rpu_config=config)
        with torch.no_grad():
            layer.weight[:] = w
        layer.train()

        def product(x: np.ndarray, layer: AnalogLinear = layer) -> np.ndarray:
            with torch.no_grad():
                return layer(torch.tensor(x, dtype=torch.float32)).numpy().astype(np.float64)

        products.append(product)
    report(accuracies=[accuracy(network, products) for _ in range(draws)])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
