"""Chips of a card for an export: target levels on tiles, drawn conductances, wires, inputs.

The cells of a tile get random levels, one level, the levels of a file, or those of a weight matrix
that is mapped onto tiles as `rramfit.mapping` does. Every chip is a separate draw; the tiles of a
matrix are arrays of their own, each drawn independently.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import InputError
from rramfit.export.card_values import value_of
from rramfit.export.contract import ExportError, Option
from rramfit.streams import stream, torch_stream

if TYPE_CHECKING:
    from rramfit.array.devices.device_model import DeviceModel
    from rramfit.array.wires.line import LineResistance
    from rramfit.card.schema import ModelCard

__all__ = [
    "CHIP_OPTIONS",
    "INPUT_OPTION",
    "MAPPING_NOTE",
    "READ_VOLTAGE",
    "DrawnChips",
    "card_line",
    "draw",
    "input_voltages",
    "mapping_csv",
    "matrix_of",
    "read_voltage",
]

Floats = NDArray[np.float64]

MOST_CELLS = 50_000_000
"""Cells of all drawn chips of one export."""

READ_VOLTAGE = 0.2
"""[V] if the card does not state one; as for networks."""

CHIP_OPTIONS = (
    Option(name="chips", kind=int, default=1, meaning="number of drawn chips", least=1),
    Option(name="seed", kind=int, default=0, meaning="seed of the draw", least=0),
    Option(name="rows", kind=int, default=None, meaning="rows of a tile (the card's)", least=1),
    Option(name="cols", kind=int, default=None, meaning="columns of a tile (the card's)", least=1),
    Option(
        name="levels",
        kind=str,
        default="random",
        meaning="target levels: random, the index of one level, or a file (.csv, .npy) of indices",
    ),
    Option(
        name="weights",
        kind=Path,
        default=None,
        meaning="file (.csv, .npy) with a weight matrix, outputs by inputs, to map onto tiles",
    ),
    Option(
        name="scheme",
        kind=str,
        default="columns",
        meaning="how weights are stored",
        choices=("columns", "arrays", "offset"),
    ),
    Option(name="time", kind=float, default=0.0, meaning="age of the states [s]", least=0.0),
)
"""Options of exporters that write drawn chips."""

INPUT_OPTION = Option(
    name="inputs",
    kind=Path,
    default=None,
    meaning="file (.csv, .npy) of row voltages [V], vectors by rows (all rows at the read voltage)",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnChips:
    """Programmed chips, in float64."""

    model: DeviceModel
    level: NDArray[np.int64]  #      (tile, row, col); −1: not programmed
    conductance: Floats  # [S]  (chip, tile, row, col) of the state
    read: Floats  # [S]  (chip, tile, row, col) of one read of it
    read_std: Floats  # [S]  (chip, tile, row, col)
    accepted: NDArray[np.bool_]  #      (chip, tile, row, col)
    fault: NDArray[np.int64]  #      (chip, tile, row, col) codes of `rramfit.card.cells.Fault`
    slope: Floats  # [S]  (chip, tile, row, col) G0 of I = G0·sinh(bV)/b, of the read
    nonlinearity: Floats  # [1/V] (chip, tile, row, col) b
    scale: Floats | None  #      (output,) weight per siemens, if weights were mapped
    columns: NDArray[np.int64] | None  # (output, part) column of each part of an output

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Return the numbers of chips, tiles, rows and columns."""
        chips, tiles, rows, cols = self.conductance.shape
        return chips, tiles, rows, cols


def mapping_csv(chips: DrawnChips) -> dict[str, str]:
    """Return `mapping.csv` by its name: where each output of mapped weights is; else nothing."""
    if chips.columns is None or chips.scale is None:
        return {}
    rows = ["output,part,column,weight_per_siemens"]
    for output, (columns, scale) in enumerate(zip(chips.columns, chips.scale, strict=True)):
        rows += [f"{output},{part},{c},{float(scale)!r}" for part, c in enumerate(columns)]
    return {"mapping.csv": "\n".join(rows) + "\n"}


MAPPING_NOTE = (
    "With `weights`, `mapping.csv` has the columns of every output (part 0 is G+, 1 is G−), "
    "counted over the tiles of a row block, and its weight per siemens. Tiles are numbered by row "
    "blocks."
)


def read_voltage(card: ModelCard) -> float:
    """Return the read voltage of a card [V], or 0.2 V."""
    q = card.domain.read_voltage
    return READ_VOLTAGE if q is None or q.value == 0 else q.value


def card_line(card: ModelCard) -> LineResistance:
    """Return the wires of a card; without resistance if it has none."""
    from rramfit.array.wires.line import LineResistance

    line = card.line
    if line is None:
        return LineResistance()
    return LineResistance(
        r_wl=max(value_of(line, "wordline_resistance"), 0.0),
        r_bl=max(value_of(line, "bitline_resistance"), 0.0),
        r_driver=max(value_of(line, "driver_resistance"), 0.0),
        r_sense=max(value_of(line, "sense_resistance"), 0.0),
        inactive_rows=line.inactive_rows,
    )


def draw(
    card: ModelCard, options: Mapping[str, Any], *, most_cells: int = MOST_CELLS
) -> DrawnChips:
    """Draw and program the chips that the options (`CHIP_OPTIONS`) describe.

    Parameters
    ----------
    card : ModelCard
    options : mapping
    most_cells : int
        That the files of the export can hold.

    Raises
    ------
    ExportError
        If there would be more cells, or the card does not have a level that is asked for.
    InputError
        If a file of levels or weights cannot be used.
    ArrayError, MappingError
        If the card cannot be drawn, or the weights do not fit.
    """
    import torch

    from rramfit.array.devices.chips import draw_chips
    from rramfit.array.devices.device_model import DeviceModel

    model = DeviceModel.from_card(card, dtype=torch.float64)
    level, scale, columns = _target_levels(model, options)
    tiles, rows, cols = level.shape
    count = int(options["chips"])
    if count * level.size > most_cells:
        msg = (
            f"{count:,} chips of {level.size:,} cells are too many for this target; expected at "
            f"most {most_cells:,} cells. Draw fewer or smaller chips (chips, rows, cols)."
        )
        raise ExportError(msg)
    generator = torch_stream(int(options["seed"]), "export")
    chips = draw_chips(model, count * tiles, shape=(rows, cols), generator=generator)
    pattern = torch.as_tensor(np.tile(level, (count, 1, 1)))
    programmed = chips.program(pattern, generator=generator)
    if options["time"] > 0:
        programmed = programmed.age(float(options["time"]), generator)
    read = programmed.read(generator)
    slope, b = chips.conduction(read)

    def array(x: torch.Tensor) -> NDArray[Any]:
        return np.asarray(x.numpy()).reshape(count, tiles, rows, cols)

    return DrawnChips(
        model=model,
        level=level,
        conductance=array(programmed.conductance),
        read=array(read),
        read_std=array(programmed.read_std),
        accepted=array(programmed.accepted),
        fault=array(chips.fault),
        slope=array(slope),
        nonlinearity=array(b.expand(slope.shape)),
        scale=scale,
        columns=columns,
    )


def _target_levels(
    model: DeviceModel, options: Mapping[str, Any]
) -> tuple[NDArray[np.int64], Floats | None, NDArray[np.int64] | None]:
    rows, cols = options["rows"] or model.shape[0], options["cols"] or model.shape[1]
    if options["weights"] is not None:
        return _mapped(model, options, (rows, cols))
    wanted = str(options["levels"])
    if wanted == "random":
        random = stream(int(options["seed"]), "export levels")
        found = random.integers(model.n_levels, size=(1, rows, cols))
        return found.astype(np.int64), None, None
    if wanted.lstrip("-").isdigit():
        found = np.full((1, rows, cols), int(wanted), dtype=np.int64)
    else:
        path = Path(wanted)
        table = matrix_of(path, "a matrix of level indices")
        found = np.rint(table)[None].astype(np.int64)
        if not np.array_equal(found[0], table):
            raise InputError(path, "", found="fractions", expected="whole level indices")
    low, high = int(found.min()), int(found.max())
    if low < -1 or high >= model.n_levels:
        msg = f"levels: found indices {low} to {high}, the card has 0 to {model.n_levels - 1}"
        raise ExportError(msg)
    return found, None, None


def _mapped(
    model: DeviceModel, options: Mapping[str, Any], tile: tuple[int, int]
) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64]]:
    """Map a weight matrix onto tiles with the card's levels."""
    import torch

    from rramfit.mapping.layout.codes import codebook, fit_scales, nearest_code
    from rramfit.mapping.layout.plan import plan_matrix

    weights = torch.as_tensor(matrix_of(Path(options["weights"]), "a weight matrix"))
    scheme: Literal["columns", "arrays", "offset"] = options["scheme"]
    book = codebook(model.mean, scheme=scheme)
    scale = fit_scales(weights, book)
    code = nearest_code(book, weights / scale[:, None])
    outputs, inputs = weights.shape
    plan = plan_matrix("weights", outputs, inputs, tile=tile, scheme=scheme)
    level = plan.levels(book, code).numpy().astype(np.int64)
    columns = plan.columns.reshape(outputs, -1).numpy().astype(np.int64)
    return level, scale.numpy(), columns


def matrix_of(path: Path, what: str) -> Floats:
    """Read a matrix of finite numbers from a .npy or .csv file, without a header.

    Raises
    ------
    InputError
        If the file cannot be read, or is not such a matrix.
    """
    expected = f"{what} in a .npy or .csv file without a header"
    try:
        if path.suffix == ".npy":
            found = np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
        else:
            with path.open(encoding="utf-8-sig", newline="") as f:
                rows = [[float(x) for x in row] for row in csv.reader(f) if row]
            found = np.array(rows, dtype=np.float64)
    except (OSError, ValueError, TypeError) as e:
        raise InputError(path, "", found=str(e) or type(e).__name__, expected=expected) from None
    if found.ndim != 2 or found.size == 0 or not np.isfinite(found).all():
        given = f"an array of shape {found.shape}" if found.ndim != 2 else "empty or not finite"
        raise InputError(path, "", found=given, expected=expected)
    return found


def input_voltages(card: ModelCard, path: Path | None, rows: int) -> Floats:
    """Return the row voltages of an export, (vector, row) [V].

    By default one vector with all rows at the read voltage.

    Raises
    ------
    InputError
        If the file has another number of columns than the tile has rows.
    """
    if path is None:
        return np.full((1, rows), read_voltage(card))
    found = matrix_of(path, "row voltages")
    if found.shape[1] != rows:
        raise InputError(
            path,
            "",
            found=f"{found.shape[1]} columns",
            expected=f"{rows}, one voltage for each row of a tile",
        )
    return found
