"""Where a network's tiles come from: drawn arrays, one fitted chip, or measured conductances.

drawn      each tile is an array of its own, drawn from the card
given      tiles are cut from arrays that the caller has drawn: chip n is the nth of them, and all
           matrices of a network lie on it, one after another
fitted     tiles are cut from the array that a sidecar describes, block by block; what was measured
           of its cells is kept, the rest is drawn
replayed   the same with the conductances that were measured

A measured or given array that is larger than a tile gives several; a network that needs more tiles
than it gives takes the same cells again, for which the rest is drawn anew. Patterns are laid out on
whole arrays, so that trends and fields stay where they were measured.

A cell asked for a conductance between two levels (weights not quantised) is taken to have the
deviation of the nearest level: g = asked + (drawn − mean of the level). Cells that did not accept
have what they have.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.array.devices.chips import Chips, draw_chips
from rramfit.array.devices.device_model import DeviceModel
from rramfit.array.devices.measured_chips import ReplayedChips, chip_from_cells
from rramfit.card.cells import CellMaps, Fault
from rramfit.errors import MappingError
from rramfit.streams import torch_stream

__all__ = ["Die", "Origin", "TileCells", "draw_die", "expected_conductance"]


Origin = CellMaps | ReplayedChips | Chips
"""One measured chip, its conductances, or chips that were drawn before; instead of drawn ones."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TileCells:
    """Cells of tiles in a state, in physical places."""

    conductance: Tensor  # [S]   (tile, row, col) I/V at the card's read voltage
    slope: Tensor  # [S]   (tile, row, col) G0, at 0 V
    nonlinearity: Tensor  # [1/V] (tile, row, col) b
    read_std: Tensor  # [S]   (tile, row, col) of one read
    accepted: Tensor  #       (tile, row, col) programmed as asked

    def to(self, device: torch.device) -> TileCells:
        """Cells on another device."""
        fields = {f.name: getattr(self, f.name).to(device) for f in dataclasses.fields(self)}
        return TileCells(**fields)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Die:
    """Arrays from which tiles are cut."""

    model: DeviceModel
    chips: Chips | ReplayedChips
    tile: tuple[int, int]
    tiles: int

    def program(
        self, target: Tensor, level: Tensor, *, time: float, generator: torch.Generator
    ) -> TileCells:
        """Program all tiles once, and let them come to an age.

        Parameters
        ----------
        target : (tile, row, col) tensor
            Conductance asked for [S]; the result is differentiable in it.
        level : (tile, row, col) int64 tensor
            The nearest level; −1 where nothing is asked for.
        time : float
            [s] since programming.
        generator : torch.Generator
        """
        pattern = _paste(level, -1, self.tile, self.chips.shape, len(self.chips))
        with torch.no_grad():
            state = self.chips.program(pattern, generator=generator).age(time, generator)
            mean = self.model.mean[level.clamp_min(0)]
            found = self._cut(state.conductance)
            accepted = self._cut(state.accepted)
            follows = accepted & (level >= 0)
            shift = torch.where(follows, found - mean, torch.zeros_like(found))
        conductance = torch.where(follows, target + shift, found).clamp_min(0)
        slope, b = self._conduction(conductance)
        return TileCells(
            conductance=conductance,
            slope=slope,
            nonlinearity=b,
            read_std=self._cut(state.read_noise.std(state.conductance, state.distribution)),
            accepted=accepted,
        )

    def _cut(self, arrays: Tensor) -> Tensor:
        return _blocks(arrays, self.tile).flatten(0, 1)[: self.tiles]

    def _conduction(self, conductance: Tensor) -> tuple[Tensor, Tensor]:
        if isinstance(self.chips, ReplayedChips):
            return conductance, torch.zeros_like(conductance)
        whole = _paste(conductance, 0.0, self.tile, self.chips.shape, len(self.chips))
        g0, b = self.chips.conduction(whole)
        return self._cut(g0), self._cut(b)


def _blocks(arrays: Tensor, tile: tuple[int, int]) -> Tensor:
    """Cut arrays (array, row, col) into whole tiles, (array, tile, row, col)."""
    rows, cols = tile
    tall, wide = arrays.shape[-2] // rows, arrays.shape[-1] // cols
    inner = arrays[:, : tall * rows, : wide * cols]
    grid = inner.reshape(-1, tall, rows, wide, cols).transpose(2, 3)
    return grid.reshape(len(arrays), tall * wide, rows, cols)


def _paste(
    tiles: Tensor, nothing: float, tile: tuple[int, int], shape: tuple[int, int], arrays: int
) -> Tensor:
    """Undo `_blocks`; places without a tile get `nothing`."""
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
            f"an array of {shape[0]} × {shape[1]} was measured, tiles are {tile[0]} × {tile[1]}; "
            "use tiles that fit into it"
        )
        raise MappingError(msg)
    return count


def draw_die(
    model: DeviceModel,
    tiles: int,
    tile: tuple[int, int],
    *,
    origin: Origin | None = None,
    index: int = 0,
    seed: int,
    name: str,
) -> Die:
    """Draw the arrays that one matrix lies on.

    Parameters
    ----------
    model : DeviceModel
    tiles : int
    tile : (rows, cols)
    origin : Origin, optional
        A measured array, or given ones, instead of drawn ones.
    index : int
        Which chip: under one seed every index is another one.
    seed : int
    name : str
        The matrix's; matrices of one chip are drawn apart.

    Raises
    ------
    MappingError
        If a measured or given array is smaller than a tile, or given ones are of another precision.
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
                f"chips of {origin.model.dtype} for a setup of {model.dtype}; draw or set up alike"
            )
            raise MappingError(msg)
        arrays = -(-tiles // _per_array(origin.shape, tile))
        die = torch.full((arrays,), index % len(origin))
        chips = origin.take(die, factors=model.factors)
    else:
        rows, cols = origin.fault.shape
        arrays = -(-tiles // _per_array((rows, cols), tile))
        chips = chip_from_cells(model, origin, count=arrays, generator=generator)
    return Die(model=model, chips=chips, tile=tile, tiles=tiles)


def expected_conductance(
    model: DeviceModel, cells: CellMaps, tiles: int, tile: tuple[int, int]
) -> Tensor:
    """Conductance that a fitted chip's cells are expected to take at each level.

    A sound cell has the level's mean plus its own offset, mixed with the lowest level by the
    probability of failing; a stuck one what it is stuck at, a cell in a dead line nothing.

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
        (Fault.STUCK_LOW, f.low_conductance),
        (Fault.STUCK_HIGH, f.high_conductance),
        (Fault.DEAD_ROW, 0.0),
        (Fault.DEAD_COL, 0.0),
    ):
        at = torch.full(fault.shape, value).to(expected)
        if cells.stuck_conductance is not None and kind in (Fault.STUCK_LOW, Fault.STUCK_HIGH):
            own = tensor(cells.stuck_conductance)
            at = torch.where(own.isfinite(), own.clamp_min(0), at)
        expected = torch.where(fault == int(kind), at, expected)
    blocks = _blocks(expected, tile).transpose(0, 1)  # (tile, level, row, col)
    return blocks[torch.arange(tiles, device=model.device) % count]
