"""The device of a measured model card, for CrossSim 3.2. Import it before a core is built.

`RramCard` is a device model: CrossSim finds it by its name in `params.json`. A normalized
conductance of 1 is 1/Rmin. Programming takes the level whose mean is nearest to the target, so that
levels need not be evenly spaced; leave `cell_bits` at 0. Each core draws its cells at its first
programming and keeps them.

`CardArray` solves the wires. It replaces the solver of the same topology, because CrossSim 3.2 adds
`Rp_row_terminal` to every segment of the first row instead of to the first segment of every row
(currents of a 32 × 24 array were 2 % off). With `GATED_ROWS`, cells of rows without input conduct
nothing.

`numpy.random.seed` sets the random numbers.
"""

import numpy as np
import simulator.cores.numeric_core as numeric_core
from rram_cells import Cells, Numbers
from simulator.backend import ComputeBackend
from simulator.circuits.array import NoninterleavedInputSourceArray
from simulator.devices.idevice import EmptyDevice

__all__ = ["GATED_ROWS", "CardArray", "RramCard"]

xp = ComputeBackend()

NUMBERS = Numbers()
GATED_ROWS = NUMBERS.content["inactive_rows"] == "gated"


def _numpy(array):
    return array.get() if hasattr(array, "get") else np.asarray(array)


def _generator():
    """Return a generator that follows `numpy.random.seed`."""
    return np.random.default_rng(np.random.randint(0, 2**31, size=4))


class RramCard(EmptyDevice):
    """Programming, ageing, read noise and I-V curve of the cells of a card.

    After a programming, `off_level` (input, output) tells the cells that failed or are stuck.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.siemens = 1.0 / self.device_params.Rmin
        self.cells = self.off_level = None
        self.rng = _generator()

    def programming_error(self, input_):
        """Return the conductances after one programming."""
        return self._programmed(input_, 0.0)

    def drift_error(self, input_, time):
        """Return the conductances at `time` [s] after one programming."""
        return self._programmed(input_, time)

    def read_noise(self, input_):
        """Return the conductances of one read."""
        g = _numpy(input_) * self.siemens
        std = NUMBERS.read_std(g)
        out = (g + std * self.rng.standard_normal(g.shape)) / self.siemens
        return xp.asarray(out.astype(input_.dtype))

    def nonlinear_current(self, Gmat, Vmat):
        """Return the current of every cell, 1 for 1/Rmin at the read voltage."""
        g0, b = self._slope_at_zero(Gmat, Vmat.ndim)
        x = b * Vmat
        small = xp.abs(x) < 1e-4
        ratio = xp.where(small, 1.0, xp.sinh(x) / xp.where(small, 1.0, x))
        return g0 * Vmat * ratio

    def nonlinear_current_sum(self, Gmat, Vterm):
        """Return the column currents without wires, from the series of sinh to V⁵."""
        g0, b = self._slope_at_zero(Gmat, Gmat.ndim)
        out = xp.matmul(g0, Vterm)
        out = out + xp.matmul(g0 * b**2 / 6, Vterm**3)
        return out + xp.matmul(g0 * b**4 / 120, Vterm**5)

    def _slope_at_zero(self, Gmat, ndim):
        """Return normalized G0, and b times the read voltage, with `ndim` axes."""
        g0, b = NUMBERS.slope_at_zero(_numpy(Gmat) * self.siemens)
        axes = (..., *(None,) * (ndim - Gmat.ndim))
        voltage = self.device_params.Vread
        return xp.asarray((g0 / self.siemens)[axes]), xp.asarray((b * voltage)[axes])

    def _programmed(self, input_, time):
        if input_.ndim != 2:  # CrossSim's check that the method can be called
            return input_
        target = _numpy(input_).T * self.siemens  # CrossSim's matrices are (output, input)
        if self.cells is None or self.cells.shape != target.shape:
            self.cells = Cells(NUMBERS, *target.shape, self.rng)
        conductance, follows, self.off_level = self.cells.program(NUMBERS.nearest_level(target))
        if time > 0:
            conductance = self.cells.aged(conductance, follows, time)
        return xp.asarray((conductance.T / self.siemens).astype(input_.dtype))


class CardArray(NoninterleavedInputSourceArray):
    """The array with its driver resistance in front of the first column."""

    def solve_mvm(self, vector, matrix, row_in=True):
        """Return the column currents of one or more vectors."""
        if row_in and self.Rp_in_mat is None:
            shape = matrix.shape[:2]
            self.Rp_in_mat = self.Rp_row_norm * xp.ones(shape)
            self.Rp_in_mat[0] += self.Rp_row_terminal_norm
            self.Rp_out_mat = self.Rp_col_norm * xp.ones(shape)
            self.Rp_out_mat[:, -1] += self.Rp_col_terminal_norm
        if GATED_ROWS:
            active = xp.abs(self._init_dV(vector, matrix, row_in=row_in)) > 1e-9
            missing = active.ndim - matrix.ndim
            matrix = matrix[(..., *(None,) * missing)] * active
        return super().solve_mvm(vector, matrix, row_in=row_in)


numeric_core.NoninterleavedInputSourceArray = CardArray
