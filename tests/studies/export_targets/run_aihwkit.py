"""Run the digits network in aihwkit: NETWORK file, number of chips, names of parts that are off.

aihwkit and the folder of the export must be on the Python path. With `save=FILE`, the conductances
of the chips [S], without read noise, are written to it.
"""

from __future__ import annotations

import sys

import numpy as np
import rram_aihwkit
import torch
from aihwkit.nn import AnalogLinear
from aihwkit.simulator.parameters.enums import NoiseManagementType
from digits_network import LAYERS, accuracy, load, report


def main(network_file: str, chips: int, *given: str) -> None:
    """Print the accuracy of every chip."""
    network = load(network_file)
    save = next((x.partition("=")[2] for x in given if x.startswith("save=")), None)
    parts = {name: name not in given for name in ("wires", "read_noise", "converters")}
    torch.manual_seed(0)
    found, cells = [], {}
    for chip in range(chips):
        products = []
        for k in LAYERS:
            w = torch.tensor(network[f"w{k}"], dtype=torch.float32)
            config = rram_aihwkit.rpu_config(tile=(w.shape[1], w.shape[0]), **parts)
            config.mapping.weight_scaling_omega = 0.0  # the weights are on the levels already
            config.forward.noise_management = NoiseManagementType.NONE
            layer = AnalogLinear(w.shape[1], w.shape[0], bias=False, rpu_config=config)
            layer.set_weights(w, None)
            layer.eval()
            layer.program_analog_weights()
            states = layer.analog_module.drift_noise_parameters
            for side, state in zip(("pos", "neg"), states, strict=True):
                cells[f"{side}{k}_{chip}"] = state[0].numpy()

            def product(x: np.ndarray, layer: AnalogLinear = layer) -> np.ndarray:
                with torch.no_grad():
                    return layer(torch.tensor(x, dtype=torch.float32)).numpy().astype(np.float64)

            products.append(product)
        found.append(accuracy(network, products))
    if save:
        np.savez(save, **cells)
    report(accuracies=found, card=rram_aihwkit.NUMBERS.card["name"])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
