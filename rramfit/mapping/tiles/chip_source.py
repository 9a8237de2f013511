"""Source of a network's tiles: drawn arrays, one fitted chip, or measured conductances.

drawn      each tile is a separate array, drawn from the card
given      tiles are cut from arrays that the caller has drawn: chip n is the nth array, and all
           matrices of a network use it, one after another
fitted     tiles are cut from the array that a sidecar describes, block by block; measured
           properties of its cells are kept, all others are drawn
replayed   tiles are cut from a measured array and have the measured conductances

A measured or given array that is larger than a tile gives several tiles. A network that needs more
tiles reuses the same cells, and the unmeasured properties are drawn again. Patterns are programmed
on complete arrays, so trends and fields keep their positions.

If a target is between two levels (weights not quantised), the cell has the deviation of the nearest
level: g = target + (drawn − mean of the level), with the mean that the targets refer to. Cells that
failed programming keep their drawn conductance. What the level means of a chip differ from those of
the card (`shift`) is the same in all its tiles.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.array.devices.chips import Chips, draw_chips
from rramfit.array.devices.device_model import DeviceModel
from rramfit.array.devices.measured_chips import ReplayedChips, chip_from_cells
from rramfit.card.cells import STUCK, CellMaps, Fault
from rramfit.errors import MappingError
from rramfit.streams import torch_stream

__all__ = ["ChipCells", "Origin", "TileCells", "draw_chip_cells", "expected_conductance"]


Origin = CellMaps | ReplayedChips | Chips
"""One fitted chip, measured conductances, or chips that the caller has drawn."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TileCells:
    """State of the cells of all tiles, in physical positions."""

    conductance: Tensor  # [S]   (tile, row, col) I/V at the card's read voltage
    slope: Tensor  # [S]   (tile, row, col) G0, at 0 V
    nonlinearity: Tensor  # [1/V] (tile, row, col) b
    read_std: Tensor  # [S]   (tile, row, col) standard deviation of one read
    accepted: Tensor  #       (tile, row, col) programming succeeded

    def to(self, device: torch.device) -> TileCells:
        """Return the cells on another device."""
        fields = {f.name: getattr(self, f.name).to(device) for f in dataclasses.fields(self)}
        return TileCells(**fields)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChipCells:
    """Arrays of one chip, from which the tiles of a matrix are cut."""

    model: DeviceModel
    mean: Tensor  # [S] (level,) that targets refer to
    chips: Chips | ReplayedChips
    tile: tuple[int, int]
    tiles: int
    shift: Tensor | None = None  # [S] (level,) of this chip's level means

    def program(
        self,
        target: Tensor,
        level: Tensor,
        *,
        time: float,
        reads: int = 0,
        generator: torch.Generator,
    ) -> TileCells:
        """Program all tiles once, age and read them.

        Parameters
        ----------
        target : (tile, row, col) tensor
            Target conductance [S]; the result is differentiable in it.
        level : (tile, row, col) int64 tensor
            Nearest level; −1 for unused cells.
        time : float
            Time since programming [s].
        reads : int
            Reads since programming.
        generator : torch.Generator
        """
        pattern = _paste(level, -1, self.tile, self.chips.shape, len(self.chips))
        with torch.no_grad():
            state = self.chips.program(pattern, generator=generator).age(time, generator)
            state = state.after_reads(reads)
            mean = self.mean[level.clamp_min(0)]
            found = self._cut(state.conductance)
            accepted = self._cut(state.accepted)
            follows = accepted & (level >= 0)
            shift = torch.where(follows, found - mean, torch.zeros_like(found))
            if self.shift is not None:
                shift = shift + torch.where(
                    follows, self.shift[level.clamp_min(0)], torch.zeros_like(found)
                )
        conductance = torch.where(follows, target + shift, found).clamp_min(0)
        slope, b = self._conduction(conductance)
        return TileCells(
            conductance=conductance,
            slope=slope,
            nonlinearity=b,
            read_std=self._cut(state.read_std),
            accepted=accepted,
        )

    def _cut(self, arrays: Tensor) -> Tensor:
        return _blocks(arrays, self.tile).flatten(0, 1)[: self.tiles]

    def _conduction(self, conductance: Tensor) -> tuple[Tensor, Tensor]:
        if isinstance(self.chips, ReplayedChips):
            return conductance, torch.zeros_like(conductance)
        arrays = _paste(conductance, 0.0, self.tile, self.chips.shape, len(self.chips))
        g0, b = self.chips.conduction(arrays)
        return self._cut(g0), self._cut(b)


def _blocks(arrays: Tensor, tile: tuple[int, int]) -> Tensor:
    """Cut arrays (array, row, col) into complete tiles, (array, tile, row, col)."""
    rows, cols = tile
    tall, wide = arrays.shape[-2] // rows, arrays.shape[-1] // cols
    inner = arrays[:, : tall * rows, : wide * cols]
    grid = inner.reshape(-1, tall, rows, wide, cols).transpose(2, 3)
    return grid.reshape(len(arrays), tall * wide, rows, cols)


def _paste(
    tiles: Tensor, nothing: float, tile: tuple[int, int], shape: tuple[int, int], arrays: int
) -> Tensor:
    """Undo `_blocks`; positions without a tile get `nothing`."""
    if tile == shape:
        return tiles
    rows, cols = tile
    tall, wide = shape[0] // rows, shape[1] // cols
    missing = arrays * tall * wide - len(tiles)
    grid = torch.cat((tiles, tiles.new_full((missing, *tile), nothing)))
    grid = grid.reshape(arrays, tall, wide, rows, cols).transpose(2, 3)
    out = tiles.new_full((arrays, *shape), nothing)
    out[:, : tall * rows, : wide * cols] = grid.reshape(arrays, tall * rows, wide * cols)
    return out


def _per_array(shape: tuple[int, int], tile: tuple[int, int]) -> int:
    count = (shape[0] // tile[0]) * (shape[1] // tile[1])
    if count == 0:
        msg = (
            f"the measured array has {shape[0]} × {shape[1]} cells, smaller than a tile of "
            f"{tile[0]} × {tile[1]}; use smaller tiles"
        )
        raise MappingError(msg)
    return count


def draw_chip_cells(
    model: DeviceModel,
    tiles: int,
    tile: tuple[int, int],
    *,
    mean: Tensor | None = None,
    origin: Origin | None = None,
    index: int = 0,
    seed: int,
    name: str,
    shift: Tensor | None = None,
) -> ChipCells:
    """Draw the arrays that hold one matrix.

    Parameters
    ----------
    model : DeviceModel
    tiles : int
    tile : (rows, cols)
    mean : (level,) tensor, optional
        Level means that targets refer to [S]; by default those of the model. They differ if the
        network is mapped with one card and the chips are drawn from another.
    origin : Origin, optional
        A measured array or given arrays, to use instead of newly drawn arrays.
    index : int
        Chip index; each index is a different chip of the seed.
    seed : int
    name : str
        Name of the matrix; the matrices of one chip are drawn independently.
    shift : (level,) tensor, optional
        Difference of this chip's level means from those of the model [S].

    Raises
    ------
    MappingError
        If a measured or given array is smaller than a tile, or given arrays have another precision.
    """
    generator = torch_stream(seed, f"die/{index}/{name}", device=model.device)
    if origin is None:
        chips: Chips | ReplayedChips = draw_chips(model, tiles, shape=tile, generator=generator)
    elif isinstance(origin, ReplayedChips):
        arrays = -(-tiles // _per_array(origin.shape, tile))
        cycle = (index * arrays + torch.arange(arrays)) % len(origin)
        chips = dataclasses.replace(
            origin, conductance=origin.conductance[cycle], accepted=origin.accepted[cycle]
        )
    elif isinstance(origin, Chips):
        if origin.model.dtype != model.dtype:
            msg = (
                f"the chips are {origin.model.dtype}, the setup is {model.dtype}; use the same "
                "dtype for both"
            )
            raise MappingError(msg)
        arrays = -(-tiles // _per_array(origin.shape, tile))
        which = torch.full((arrays,), index % len(origin))
        chips = origin.take(which, factors=model.factors)
    else:
        rows, cols = origin.fault.shape
        arrays = -(-tiles // _per_array((rows, cols), tile))
        chips = chip_from_cells(model, origin, count=arrays, generator=generator)
    mean = model.mean if mean is None else mean
    return ChipCells(model=model, mean=mean, chips=chips, tile=tile, tiles=tiles, shift=shift)


def expected_conductance(
    model: DeviceModel, cells: CellMaps, tiles: int, tile: tuple[int, int]
) -> Tensor:
    """Compute the expected conductance of a fitted chip's cells at each level.

    A healthy cell has the level's mean plus its offset, averaged with the conductance after a
    failure by the cell's failure probability. A stuck cell has its stuck conductance, a cell in a
    dead line has 0.

    Returns
    -------
    (tile, level, row, col) tensor
        [S]
    """
    count = _per_array((cells.fault.shape[0], cells.fault.shape[1]), tile)

    def tensor(x: object) -> Tensor:
        return torch.tensor(x, dtype=model.dtype, device=model.device)

    f = model.faults
    failing = tensor(cells.hard_posterior).nan_to_num(0.0)
    own = model.mean[:, None, None] + tensor(cells.offset).nan_to_num(0.0)
    left = torch.where(f.failed_median.isnan(), model.mean[0], f.failed_median)[:, None, None]
    expected = (1 - failing) * own + failing * left
    fault = torch.as_tensor(cells.fault.astype("int64"), device=model.device)
    for kind, value in (
        *((kind, state.conductance) for kind, state in f.stuck.items()),
        (Fault.DEAD_ROW, 0.0),
        (Fault.DEAD_COL, 0.0),
    ):
        at = torch.full(fault.shape, value).to(expected)
        if cells.stuck_conductance is not None and kind in STUCK:
            own = tensor(cells.stuck_conductance)
            at = torch.where(own.isfinite(), own.clamp_min(0), at)
        expected = torch.where(fault == int(kind), at, expected)
    blocks = _blocks(expected, tile).transpose(0, 1)  # (tile, level, row, col)
    return blocks[torch.arange(tiles, device=model.device) % count]
