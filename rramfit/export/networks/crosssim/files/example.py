"""Program a random matrix on cells of the card in CrossSim, and compare its product."""

import numpy as np
import rram_device  # registers the device
from simulator import AnalogCore, CrossSimParameters

params = CrossSimParameters.from_json("params.json")
np.random.seed(0)
rows, cols = params.core.rows_max, params.core.cols_max
matrix = np.random.uniform(-1, 1, (cols, rows))
core = AnalogCore(matrix, params)
inputs = np.random.uniform(0, 1, (rows, 16)) * (np.random.uniform(0, 1, (rows, 1)) < 0.25)
found, ideal = core @ inputs, matrix @ inputs
error = np.sqrt(np.mean((found - ideal) ** 2)) / np.sqrt(np.mean(ideal**2))
cells = core.cores[0][0].core_pos.matrix / params.xbar.device.Rmin
numbers = rram_device.NUMBERS
level = numbers.nearest_level(cells)
print(f"cells of {numbers.card['name']} after programming, by the nearest level:")
for k, mean in enumerate(numbers.mean):
    here = cells[level == k]
    print(f"  level {k}: {here.size} cells, {1e6 * here.mean():.2f} uS (card {1e6 * mean:.2f} uS)")
print(f"error of the product: {100 * error:.1f} % of its rms")
