"""Cells of a card in other programs: a stand-alone module that draws them, and its numbers.

`files/rram_cells.py` needs NumPy only, and is copied beside the files of every target that runs
Python; `numbers` writes what it reads; `limits` tells what targets lack of the circuits. Excluded:
anything about one target.
"""

from rramfit.export.networks.cell_model.numbers import (
    CELLS_MODULE,
    CELLS_NUMBERS,
    card_numbers,
    cell_files,
)

__all__ = ["CELLS_MODULE", "CELLS_NUMBERS", "card_numbers", "cell_files"]
