"""What commands that put a network onto chips have in common: options, and what they stand for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rramfit_cli.options.types import SEED, FiniteRange

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rramfit.array import ReplayedChips
    from rramfit.card.cells import CellMaps
    from rramfit.mapping.study.datasets import Dataset
    from rramfit.mapping.tiles.setup import AnalogSetup

__all__ = [
    "FACTORS",
    "Subject",
    "check_apart",
    "network_options",
    "norms_option",
    "norms_renewed",
    "subject",
]

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_F = TypeVar("_F", bound=Callable[..., Any])

_CALIBRATION_IMAGES = 256

LARGEST_TILE = 4096
"""Rows or columns; cells of such a tile take some 100 MB."""

FACTORS = (
    *("quantisation", "d2d", "field", "trend", "c2c", "failure", "stuck", "dead_lines", "read"),
    *("retention", "nonlinearity", "wires", "dac", "adc", "readout"),
)
"""Those of `rramfit.mapping.tiles.setup`, so that help need not load torch."""


class _Tile(click.ParamType):  # type: ignore[type-arg]  # generic only in newer stubs
    name = "ROWSxCOLS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value[0], value[1]
        rows, _, cols = str(value).lower().partition("x")
        if not (rows.isdecimal() and cols.isdecimal()):
            self.fail(f"{value!r} is no size; write 128x128", param, ctx)
        if not all(0 < int(n) <= LARGEST_TILE for n in (rows, cols)):
            self.fail(f"{value!r}: each side is to be 1 to {LARGEST_TILE}", param, ctx)
        return int(rows), int(cols)


_OPTIONS = (
    click.argument("model", default="mlp"),
    click.option("--card", type=_FILE, help="Model card; the reference chip where not given."),
    click.option("--data", default="digits", help="`digits`, or a folder: CIFAR-10, MNIST's form."),
    click.option("--checkpoint", type=_FILE, help="Weights of MODEL, to start from."),
    click.option("--tile", type=_Tile(), help="Size of a tile; 128x128 where not given."),
    click.option(
        "--scheme",
        type=click.Choice(["columns", "arrays", "offset"]),
        default="columns",
        help="Pairs in two columns or two arrays, or an offset column.",
    ),
    click.option("--slices", type=click.IntRange(min=1), default=1, help="Slices a weight."),
    click.option(
        "--weight-values", type=click.IntRange(min=3), help="Values of a slice, odd; all."
    ),
    click.option(
        "--input-coding",
        type=click.Choice(["amplitude", "bit-serial"]),
        help="Bit-serial with gated rows, else amplitude.",
    ),
    click.option("--dac-bits", type=click.IntRange(1, 24), default=8, help="Of inputs."),
    click.option("--adc-bits", type=click.IntRange(1, 24), help="The card's, else 8."),
    click.option(
        "--correction",
        type=click.Choice(["none", "offset", "linear", "cubic"]),
        default="linear",
        help="Digital, of each column's converter.",
    ),
    click.option(
        "--no-wire-correction", is_flag=True, help="No gain for a column's nominal loss in wires."
    ),
    click.option(
        "--wires",
        type=click.Choice(["exact", "estimate"]),
        help="Estimate with gated or floating rows, else exact.",
    ),
    click.option(
        "--inactive-rows",
        type=click.Choice(["grounded", "floating", "gated"]),
        help="The card's where not given.",
    ),
    click.option("--time", type=FiniteRange(min=0), default=0.0, help="Since programming [s]."),
    click.option(
        "--off",
        multiple=True,
        type=click.Choice(FACTORS),
        metavar="FACTOR",
        help=f"Switch a factor off; repeatable. There are {', '.join(FACTORS)}.",
    ),
    click.option("--cells", type=_FILE, help="Sidecar: this chip, not chips like it."),
    click.option("--replay", type=_FILE, help="Measurement: its conductances themselves."),
    click.option("--place", is_flag=True, help="Place around the faults of --cells."),
    click.option("--seed", type=SEED, default=0, help="Of all that is drawn."),
)


def network_options(command: _F) -> _F:
    """Give a command the argument MODEL and the options that say how it is mapped."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def norms_option(command: _F) -> _F:
    """Give a command the option `norms`."""
    return click.option(
        "--norms",
        type=click.IntRange(min=2),
        help="Estimate batch norms' statistics again on each chip, on so many training images.",
    )(command)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A network, its data, and how it is put onto chips."""

    name: str
    card: str
    network: nn.Module
    data: Dataset
    setup: AnalogSetup
    laid: dict[str, dict[str, Tensor]] | None  # as the checkpoint says
    seed: int
    assumptions: tuple[str, ...]

    @property
    def inputs(self) -> Tensor:
        """Images to calibrate on."""
        return self.data.train_images[:_CALIBRATION_IMAGES]


def norms_renewed(given: Subject, images: int | None) -> Callable[[nn.Module], None] | None:
    """Make what `evaluate` does to a network on each chip for `--norms`; None without it.

    Raises
    ------
    click.UsageError
        If the network has no such norms, or the data not so many images.
    """
    from rramfit.training.loop.bn_recalibration import estimate_norms, norms_of

    if images is None:
        return None
    there = len(given.data.train_images)
    if images > there:
        msg = f"--norms {images}: {given.data.name} has {there} training images"
        raise click.UsageError(msg)
    if not norms_of(given.network):
        msg = f"--norms {images}: {given.name} has no batch norms; leave it out"
        raise click.UsageError(msg)
    return lambda network: estimate_norms(network, given.data.train_images[:images])


def check_apart(options: dict[str, Any], *outputs: Path | None) -> None:
    """Check that no file is written over another, or over an input.

    Raises
    ------
    click.UsageError
        If two outputs are one file, or one of them is a file that options name.
    """
    seen = {x.resolve(): "an input" for x in options.values() if isinstance(x, Path)}
    for path in outputs:
        if path is None:
            continue
        if path.resolve() in seen:
            msg = f"{path} would be written over {seen[path.resolve()]}; give it another name"
            raise click.UsageError(msg)
        seen[path.resolve()] = "another output"


def subject(options: dict[str, Any], *, trained: bool) -> Subject:
    """Make what the options stand for; with `trained`, train where there is no checkpoint.

    Raises
    ------
    click.UsageError
        If options exclude one another, or a network other than mlp on digits has no checkpoint.
    """
    if options["cells"] and options["replay"]:
        msg = "--cells and --replay are two kinds of chip; give one of them"
        raise click.UsageError(msg)
    if options["place"] and not options["cells"]:
        msg = "--place needs the faults of a fitted chip; give --cells"
        raise click.UsageError(msg)
    from rramfit.card import load_card
    from rramfit.card.cells import load_cells
    from rramfit.mapping.study.datasets import load_dataset
    from rramfit.mapping.study.networks import load_weights, make_network
    from rramfit.mapping.tiles.peripherals import Peripherals
    from rramfit.mapping.tiles.setup import analog_setup
    from rramfit.measurement import read_measurement, replay
    from rramfit.measurement.virtual.reference_chip import reference_card
    from rramfit.training.plain import train_plain
    from rramfit_cli.allocator import keep_freed_memory

    keep_freed_memory()
    gated = options["inactive_rows"] == "gated"
    card = load_card(options["card"]) if options["card"] else reference_card(gated=gated)
    rows = options["inactive_rows"] or (card.line.inactive_rows if card.line else "grounded")
    serial = options["input_coding"] or ("bit-serial" if rows == "gated" else "amplitude")
    origin: CellMaps | ReplayedChips | None = None
    if options["cells"]:
        origin = load_cells(options["cells"])
    elif options["replay"]:
        origin = replay(read_measurement(options["replay"]))
    setup = analog_setup(
        card,
        tile=options["tile"],
        scheme=options["scheme"],
        slices=options["slices"],
        weight_values=options["weight_values"],
        peripherals=Peripherals(
            input_coding="bit_serial" if serial == "bit-serial" else "amplitude",
            dac_bits=options["dac_bits"],
            adc_bits=options["adc_bits"],
            correction=options["correction"],
            wire_correction=not options["no_wire_correction"],
        ),
        wires_by=options["wires"] or ("exact" if rows == "grounded" else "estimate"),
        inactive_rows=options["inactive_rows"],
        factors=[f for f in FACTORS if f not in options["off"]],
        time=options["time"],
        origin=origin,
        place_around_faults=options["place"],
    )
    data = load_dataset(options["data"])
    network = make_network(options["model"], data.shape, data.classes, seed=options["seed"])
    laid = None
    if options["checkpoint"]:
        laid = load_weights(network, options["checkpoint"])
    elif trained:
        if options["model"] != "mlp":
            msg = f"{options['model']} has no weights; give --checkpoint (only mlp is trained here)"
            raise click.UsageError(msg)
        train_plain(network, data.train_images, data.train_labels, seed=options["seed"])
    return Subject(
        name=options["model"],
        card=card.name,
        network=network.eval(),
        data=data,
        setup=setup,
        laid=laid,
        seed=options["seed"],
        assumptions=setup.model.assumptions,
    )
