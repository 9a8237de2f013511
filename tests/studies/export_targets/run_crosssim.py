"""Run the digits network in CrossSim: FOLDER of the export, NETWORK file, number of chips.

CrossSim and FOLDER must be on the Python path. With a file name at the end, the conductances of the
chips [S], without read noise, are written to it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import rram_device  # registers the device
from digits_network import LAYERS, accuracy, load, report
from simulator import AnalogCore, CrossSimParameters


def main(folder: str, network_file: str, chips: int, save: str | None = None) -> None:
    """Print the accuracy of every chip."""
    network = load(network_file)
    np.random.seed(0)
    found, cells = [], {}
    for chip in range(chips):
        products = []
        for k in LAYERS:
            w = network[f"w{k}"]
            params = CrossSimParameters.from_json(Path(folder) / "params.json")
            params.core.rows_max, params.core.cols_max = w.shape[1], w.shape[0]
            weights = params.core.mapping.weights
            weights.percentile, weights.min, weights.max = None, -1.0, 1.0
            core = AnalogCore(w.astype(np.float64), params)
            inner = core.cores[0][0]
            for side in ("pos", "neg"):
                matrix = getattr(inner, f"core_{side}").matrix
                cells[f"{side}{k}_{chip}"] = matrix.T / params.xbar.device.Rmin
            products.append(lambda x, core=core: (core @ x.T.copy()).T)
        found.append(accuracy(network, products))
    if save:
        np.savez(save, **cells)
    report(accuracies=found, card=rram_device.NUMBERS.card["name"])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
