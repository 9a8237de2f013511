"""One weight matrix on tiles: from codes to programmed cells to a product with input vectors.

In: a matrix plan, a source of cells (drawn or measured), converters and wires. Out: the product
that the chip computes, with every non-ideality that is switched on.

Not here: PyTorch layers (`rramfit.mapping.layers`).
"""

from rramfit.mapping.tiles.peripherals import Peripherals
from rramfit.mapping.tiles.setup import FACTORS, AnalogSetup, analog_setup

__all__ = ["FACTORS", "AnalogSetup", "Peripherals", "analog_setup"]
