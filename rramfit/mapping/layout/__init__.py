"""Assignment of weights to cells.

In: a weight matrix, a card's levels, the tile size. Out: codes (the conductances that represent a
weight), the row and column blocks on tiles, and a placement around faulty cells.

Not here: programming the cells and computing with them (`rramfit.mapping.tiles`).
"""

from rramfit.mapping.layout.codes import Codebook, codebook
from rramfit.mapping.layout.placement import Placement, place_around_faults
from rramfit.mapping.layout.plan import CellAddress, MatrixPlan, WeightAddress, plan_matrix

__all__ = [
    "CellAddress",
    "Codebook",
    "MatrixPlan",
    "Placement",
    "WeightAddress",
    "codebook",
    "place_around_faults",
    "plan_matrix",
]
