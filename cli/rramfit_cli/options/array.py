"""Options that define an array: the source of its cells, and its wires.

Cells come from a card (a chip is drawn and programmed with `--pattern`), from `/mvm` of a
measurement file, or from a matrix in a .npy, .csv or .tsv file with `--unit`. Wires come from
`--wires CARD`, from options for the resistances, from the card that the cells are drawn from, or,
for a measurement file, from a fit to its currents. A resistance option overrides one value of a
card or a fit.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import click

from rramfit.errors import InputError
from rramfit.units import ACCEPTED_UNITS
from rramfit_cli.options.types import INPUT, SEED, FiniteRange

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rramfit.array.wires.line import LineResistance
    from rramfit.card.schema import ModelCard
    from rramfit.measurement.file.record import MVM

    Floats = NDArray[np.float64]

__all__ = ["ArrayOptions", "array_options", "read_matrix"]

_MATRICES = {".npy": None, ".csv": ",", ".tsv": "\t"}
_CELL = click.Tuple([click.IntRange(min=0), click.IntRange(min=0)])
_OHM = FiniteRange(min=0)

_OPTIONS = (
    click.argument("source", metavar="SOURCE", type=INPUT),
    click.option(
        "--unit", type=click.Choice(ACCEPTED_UNITS["conductance"]), help="Unit of a matrix."
    ),
    click.option(
        "--pattern",
        metavar="random|checkerboard|level:N",
        default="random",
        help="Levels to program the chip of a card to.",
    ),
    click.option(
        "--rows", type=click.IntRange(min=1), help="Rows of a chip.", show_default="as in the card"
    ),
    click.option(
        "--cols",
        type=click.IntRange(min=1),
        help="Columns of a chip.",
        show_default="as in the card",
    ),
    click.option("--seed", type=SEED, default=0, help="Seed of the chip and of random inputs."),
    click.option("--wires", type=INPUT, metavar="CARD", help="Card with the wires to use."),
    click.option("--r-wl", type=_OHM, help="Resistance of a wordline segment [ohm]."),
    click.option("--r-bl", type=_OHM, help="Resistance of a bitline segment [ohm]."),
    click.option("--r-driver", type=_OHM, help="Resistance of a row driver [ohm]."),
    click.option("--r-sense", type=_OHM, help="Input resistance of a sense amplifier [ohm]."),
    click.option(
        "--ends", type=click.Choice(("left", "both")), default="left", help="Driven ends of rows."
    ),
    click.option(
        "--inactive-rows",
        type=click.Choice(("grounded", "floating", "gated")),
        help="State of rows without input.",
        show_default="as in the card or measurement",
    ),
    click.option(
        "--broken-wl",
        type=_CELL,
        multiple=True,
        help="ROW COL: wordline broken to the left of this cell.",
    ),
    click.option(
        "--broken-bl", type=_CELL, multiple=True, help="ROW COL: bitline broken below this cell."
    ),
)


@dataclass(frozen=True, kw_only=True)
class ArrayOptions:
    """The array options of one command line."""

    source: Path
    unit: str | None
    pattern: str
    rows: int | None
    cols: int | None
    seed: int
    wires: Path | None
    r_wl: float | None
    r_bl: float | None
    r_driver: float | None
    r_sense: float | None
    ends: str
    inactive_rows: str | None
    broken_wl: tuple[tuple[int, int], ...]
    broken_bl: tuple[tuple[int, int], ...]

    @cached_property
    def card(self) -> ModelCard | None:
        """The card, if the source is a card."""
        from rramfit.card import load_card

        return load_card(self.source) if self.source.suffix == ".json" else None

    @cached_property
    def mvm(self) -> MVM | None:
        """Patterns, currents and cells, if the source is a measurement file."""
        from rramfit.measurement import read_measurement

        if self.source.suffix in (".json", *_MATRICES):
            return None
        mvm = read_measurement(self.source).mvm
        if mvm is None:
            raise InputError(
                self.source,
                "/mvm",
                found="no such group",
                expected="the cells and currents of an array driven as a whole",
                remedy="Use a card or a matrix of conductances instead.",
            )
        return mvm

    @cached_property
    def conductance(self) -> Floats:
        """Cells [S], (row, col)."""
        if self.card is not None:
            return self._drawn(self.card)
        if self.mvm is not None:
            return self._measured(self.mvm)
        if self.unit is None:
            msg = f"the numbers in {self.source} have no unit. Add --unit."
            raise click.UsageError(msg)
        return read_matrix(self.source, self.unit, "conductance")

    def _drawn(self, card: ModelCard) -> Floats:
        """Return the programmed cells of a chip drawn from the card [S]."""
        import torch

        from rramfit.array.devices.chips import draw_chips
        from rramfit.array.devices.device_model import DeviceModel
        from rramfit.streams import torch_stream

        model = DeviceModel.from_card(card, dtype=torch.float64)
        shape = (self.rows or card.array.rows, self.cols or card.array.cols)
        level = torch.from_numpy(_levels(self.pattern, model.n_levels, shape, self.seed))
        chip = draw_chips(model, 1, shape=shape, generator=torch_stream(self.seed, "array/chip"))
        state = chip.program(level, generator=torch_stream(self.seed, "array/program"))
        return state.conductance[0].clamp_min(0.0).numpy()

    def _measured(self, mvm: MVM) -> Floats:
        """Return the measured cells [S]: gaps are filled, resistances in series subtracted."""
        import numpy as np

        from rramfit.reporting.report_data.line_data import intrinsic_conductance

        gaps = ~np.isfinite(mvm.conductance)
        if gaps.all():
            raise InputError(
                self.source, "/mvm/conductance", found="NaN only", expected="measured cells"
            )
        if gaps.any():
            click.echo(
                f"warning: {gaps.sum()} cells have no reading and are set to the median of all",
                err=True,
            )
        g = np.maximum(np.where(gaps, np.nanmedian(mvm.conductance), mvm.conductance), 0.0)
        return intrinsic_conductance(g, self.line) if mvm.cell_reads == "terminal" else g

    @cached_property
    def line(self) -> LineResistance:
        """Resistances and state of the wires."""
        from rramfit.array.wires.line import LineResistance

        names = ("r_wl", "r_bl", "r_driver", "r_sense")
        given = {n: value for n in names if (value := getattr(self, n)) is not None}
        line = LineResistance() if given and self.wires is None else self._known_line()
        inactive = self.inactive_rows
        if inactive is None and self.mvm is not None:
            inactive = self.mvm.inactive_rows
        return dataclasses.replace(
            line,
            **given,
            drive=cast('Literal["left", "both"]', self.ends),
            inactive_rows=cast(
                'Literal["grounded", "floating", "gated"]', inactive or line.inactive_rows
            ),
            broken_wl=self.broken_wl,
            broken_bl=self.broken_bl,
        )

    def _known_line(self) -> LineResistance:
        from rramfit.card import load_card
        from rramfit.reporting.report_data.line_data import known_line

        card = load_card(self.wires) if self.wires is not None else self.card
        if card is not None and card.line is not None:
            return known_line(card.line)
        if card is None and self.mvm is not None:
            from rramfit.fitting.electrical.line_fit import fit_line_resistance

            click.echo("fitting the wire resistances to the measured currents", err=True)
            return known_line(fit_line_resistance(self.mvm).to_card())
        msg = (
            f"{self.wires or self.source} has no wire resistances. Add --wires CARD, or --r-wl, "
            "--r-bl, --r-driver and --r-sense."
        )
        raise click.UsageError(msg)

    def facts(self) -> tuple[tuple[str, str], ...]:
        """Describe the array and its wires: pairs of name and text."""
        from rramfit.reporting.page.wording import with_unit

        rows, cols = self.conductance.shape
        line = self.line
        values = (with_unit(float(r), "ohm") for r in line.values)
        wires = ", ".join(
            f"{name} {value}"
            for name, value in zip(("wordline", "bitline", "driver", "sense"), values, strict=True)
        )
        broken = len(line.broken_wl) + len(line.broken_bl)
        return (
            ("cells", f"{rows} × {cols}, from {self.source.name}"),
            ("wires", wires + (f"; {broken} broken" if broken else "")),
            ("rows without input", line.inactive_rows),
            ("driven from", "both ends" if line.drive == "both" else "the left end"),
        )


def array_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the array options to a command, which receives them as one `ArrayOptions`."""

    @functools.wraps(command)
    def wrapped(**options: Any) -> None:
        own = {f.name: options.pop(f.name) for f in dataclasses.fields(ArrayOptions)}
        command(ArrayOptions(**own), **options)

    for option in reversed(_OPTIONS):
        option(wrapped)
    return wrapped


def read_matrix(path: Path, unit: str, kind: str) -> Floats:
    """Read a matrix of one quantity from a .npy, .csv or .tsv file and convert it to SI.

    Raises
    ------
    InputError
        If the file is not a matrix of finite numbers.
    """
    import numpy as np

    from rramfit.units import to_si

    if path.suffix not in _MATRICES:
        raise InputError(
            path,
            "name",
            found=f"the suffix {path.suffix!r}",
            expected=f"one of {', '.join(_MATRICES)}",
        )
    try:
        if path.suffix == ".npy":
            raw = np.load(path, allow_pickle=False)
        else:
            raw = np.loadtxt(path, delimiter=_MATRICES[path.suffix], ndmin=2)
        values = np.atleast_2d(to_si(raw, unit, kind))
    except (ValueError, OSError, EOFError) as e:
        raise InputError(
            path, "content", found=f"unreadable content ({e})", expected="a matrix of numbers"
        ) from None
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        counted = "1 number" if bad == 1 else f"{bad} numbers"
        raise InputError(
            path,
            "content",
            found=f"shape {values.shape} with {counted} not finite in SI",
            expected="a matrix (row, col) of finite numbers",
        )
    return values


def _levels(pattern: str, levels: int, shape: tuple[int, int], seed: int) -> NDArray[np.int64]:
    """Return the level of every cell, (row, col)."""
    import numpy as np

    from rramfit.measurement.virtual.tester import level_pattern

    if pattern == "random":
        return level_pattern(levels, 0, shape, seed=seed)
    if pattern == "checkerboard":
        i, j = np.indices(shape)
        return np.where((i + j) % 2 == 0, levels - 1, 0)
    word, _, index = pattern.partition(":")
    if word == "level" and index.isdecimal() and int(index) < levels:
        return np.full(shape, int(index))
    msg = f"{pattern!r}; expected random, checkerboard, or level:0 to level:{levels - 1}"
    raise click.BadParameter(msg, param_hint="--pattern")
