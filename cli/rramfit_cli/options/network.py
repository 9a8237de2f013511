"""Common options of commands that map a network onto chips, and the objects that they describe."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rramfit_cli.options.data import DATA_OPTION, DEVICE_OPTION
from rramfit_cli.options.helps import HELP_OPTIONS, peripherals_of
from rramfit_cli.options.types import INPUT, SEED, FiniteRange

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from rramfit.array import ReplayedChips
    from rramfit.card import ModelCard
    from rramfit.card.cells import CellMaps
    from rramfit.mapping.study.datasets import Dataset
    from rramfit.mapping.study.scores.metrics import Metric
    from rramfit.mapping.tiles.setup import AnalogSetup

__all__ = [
    "FACTORS",
    "Subject",
    "bn_recalibration_option",
    "bn_recalibrator",
    "check_output_paths",
    "name_digital_parts",
    "network_options",
    "print_card_warnings",
    "subject",
]

_F = TypeVar("_F", bound=Callable[..., Any])

_CALIBRATION_IMAGES = 256

LARGEST_TILE = 4096
"""Maximum number of rows or columns; the cells of such a tile take about 100 MB."""

FACTORS = (
    *("quantisation", "d2d", "field", "lines", "trend", "c2c", "failure", "stuck"),
    *("dead_lines", "read", "retention", "nonlinearity", "wires", "dac", "adc", "readout"),
    "between",
)
"""Copy of the factors of `rramfit.mapping.tiles.setup`, so that help does not import torch."""


class _Tile(click.ParamType):  # type: ignore[type-arg]  # generic only in newer stubs
    name = "ROWSxCOLS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value[0], value[1]
        rows, _, cols = str(value).lower().partition("x")
        if not (rows.isdecimal() and cols.isdecimal()):
            self.fail(f"{value!r} is not a tile size; write for example 128x128", param, ctx)
        if not all(0 < int(n) <= LARGEST_TILE for n in (rows, cols)):
            self.fail(f"{value!r}: rows and columns must be 1 to {LARGEST_TILE}", param, ctx)
        return int(rows), int(cols)


_OPTIONS = (
    click.argument("model", default="mlp"),
    click.option(
        "--card", type=INPUT, help="Model card of the chips. Default: the reference chip."
    ),
    DATA_OPTION,
    click.option(
        "--checkpoint",
        type=INPUT,
        help="Weights of MODEL: a checkpoint of `rramfit train`, or a saved state dict of PyTorch.",
    ),
    click.option("--tile", type=_Tile(), help="Size of a tile. Default: 128x128."),
    click.option(
        "--scheme",
        type=click.Choice(["columns", "arrays", "offset"]),
        default="columns",
        help="Signed weights: pairs of cells in two columns or two arrays, or one cell and an "
        "offset column.",
    ),
    click.option(
        "--slices",
        type=click.IntRange(min=1),
        default=1,
        help="Number of slices (cells or pairs of cells) per weight.",
    ),
    click.option(
        "--weight-values",
        type=click.IntRange(min=3),
        help="Number of values of a slice (odd). Default: all values that the levels allow.",
    ),
    click.option(
        "--input-coding",
        type=click.Choice(["amplitude", "bit-serial"]),
        help="Coding of inputs. Default: bit-serial for gated rows, otherwise amplitude.",
    ),
    *HELP_OPTIONS,
    click.option(
        "--wires",
        type=click.Choice(["exact", "estimate"]),
        help="Solve wires exactly, or estimate them. Default: estimate for gated or floating rows, "
        "otherwise exact.",
    ),
    click.option(
        "--inactive-rows",
        type=click.Choice(["grounded", "floating", "gated"]),
        help="State of rows without input. Default: the card's value.",
    ),
    click.option(
        "--time", type=FiniteRange(min=0), default=0.0, help="Time since programming [s]."
    ),
    click.option(
        "--temperature",
        type=FiniteRange(min=0, min_open=True),
        metavar="KELVIN",
        help="Temperature at which cells age [K]. Default: that of the card's bake.",
    ),
    click.option(
        "--reads",
        type=click.IntRange(min=0),
        default=0,
        help="Reads of every cell since programming, such as inferences, for the read disturb.",
    ),
    click.option(
        "--cycles",
        type=click.IntRange(min=0),
        default=0,
        help="SET/RESET cycles of every cell before programming: some are worn out by then.",
    ),
    click.option(
        "--off",
        multiple=True,
        type=click.Choice(FACTORS),
        metavar="FACTOR",
        help=f"Switch off a non-ideality; can be repeated. One of {', '.join(FACTORS)}.",
    ),
    click.option(
        "--cells", type=INPUT, help="Sidecar of one fitted chip, to use instead of drawn chips."
    ),
    click.option(
        "--replay",
        type=INPUT,
        help="Measurement file whose conductances are used instead of drawn chips.",
    ),
    click.option(
        "--place", is_flag=True, help="Assign rows and columns around the faults in --cells."
    ),
    click.option(
        "--digital",
        multiple=True,
        metavar="NAME",
        help="Keep a layer digital on purpose; can be repeated.",
    ),
    click.option(
        "--strict", is_flag=True, help="Refuse other layers with weights that would stay digital."
    ),
    click.option("--seed", type=SEED, default=0, help="Seed of all random numbers."),
    DEVICE_OPTION,
)


def network_options(command: _F) -> _F:
    """Add the argument MODEL and the options of its mapping to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def bn_recalibration_option(command: _F) -> _F:
    """Add the option `--bn-recalibration` to a command."""
    return click.option(
        "--bn-recalibration",
        type=click.IntRange(min=2),
        metavar="N",
        help="Recalibrate BatchNorm statistics on each chip with N training images.",
    )(command)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A network, its data, and the setup of its chips."""

    name: str
    card: str
    model_card: ModelCard
    network: nn.Module
    data: Dataset
    setup: AnalogSetup
    mapping: dict[str, dict[str, Tensor]] | None  # from the checkpoint
    seed: int
    assumptions: tuple[str, ...]
    metric: Metric
    digital: tuple[str, ...] = ()  # layers that stay digital on purpose
    strict: bool = False

    def on_chips(
        self,
        *,
        network: nn.Module | None = None,
        mapping: Mapping[str, Mapping[str, Tensor]] | None = None,
        setup: AnalogSetup | None = None,
    ) -> nn.Module:
        """Map the network onto chips.

        Parameters
        ----------
        network : nn.Module, optional
            With other weights; then `mapping` is that of this network.
        mapping : mapping, optional
        setup : AnalogSetup, optional
            Instead of the subject's.
        """
        from rramfit.mapping import convert_to_analog

        return convert_to_analog(
            self.network if network is None else network,
            self.setup if setup is None else setup,
            inputs=self.inputs,
            mapping=self.mapping if network is None else mapping,
            exclude=self.digital,
            strict=self.strict,
            seed=self.seed,
        )

    @property
    def inputs(self) -> Tensor:
        """Calibration images."""
        return self.data.train_images[:_CALIBRATION_IMAGES].to(self.device)

    @property
    def device(self) -> torch.device:
        """Device of the network and its chips."""
        return self.setup.model.device


def bn_recalibrator(given: Subject, images: int | None) -> Callable[[nn.Module], None] | None:
    """Return the function that `evaluate` calls after programming each chip; None without images.

    Raises
    ------
    click.UsageError
        If the network has no BatchNorm layers, or the data set has fewer training images.
    """
    from rramfit.training.loop.bn_recalibration import batch_norm_layers, recalibrate_batch_norm

    if images is None:
        return None
    available = len(given.data.train_images)
    if images > available:
        msg = f"--bn-recalibration {images}: {given.data.name} has {available} training images"
        raise click.UsageError(msg)
    if not batch_norm_layers(given.network):
        msg = f"{given.name} has no BatchNorm layers; remove --bn-recalibration"
        raise click.UsageError(msg)
    return lambda network: recalibrate_batch_norm(network, given.data.train_images[:images])


def print_card_warnings(given: Subject) -> None:
    """Print what makes chips of the card doubtful: its verdict, and times beyond its data."""
    from rramfit.mapping.study.conditions import card_warnings

    for warning in card_warnings(given.model_card, given.setup):
        click.echo(f"warning: {warning}", err=True)


def name_digital_parts(analog: nn.Module) -> list[str]:
    """Print which layers with weights stay digital; return the sentence in a list, or nothing."""
    from rramfit.mapping.layers.digital_parts import digital_sentence

    sentence = digital_sentence(analog.__dict__["digital_parts"])
    if not sentence:
        return []
    click.echo(sentence, err=True)
    return [sentence]


def check_output_paths(options: dict[str, Any], *outputs: Path | None) -> None:
    """Check that no output overwrites an input or another output.

    Raises
    ------
    click.UsageError
        If two outputs are the same file, or an output is an input file.
    """
    taken = {x.resolve(): "an input" for x in options.values() if isinstance(x, Path)}
    for path in outputs:
        if path is None:
            continue
        if path.resolve() in taken:
            msg = f"{path} would overwrite {taken[path.resolve()]}; choose another name"
            raise click.UsageError(msg)
        taken[path.resolve()] = "another output"


def subject(options: dict[str, Any], *, trained: bool, weights: bytes | None = None) -> Subject:
    """Make the network, data and setup of the options; with `trained`, train without checkpoint.

    With `weights`, the network has this state dict and is not trained.

    Raises
    ------
    click.UsageError
        If options contradict each other, or a network other than mlp has no checkpoint.
    """
    if options["cells"] and options["replay"]:
        msg = "--cells and --replay exclude each other; give one of them"
        raise click.UsageError(msg)
    if options["place"] and not options["cells"]:
        msg = "--place needs the faults of a fitted chip; add --cells"
        raise click.UsageError(msg)
    if options["spare_columns"] and not options["place"]:
        msg = "--spare-columns are of use to a placement; add --place"
        raise click.UsageError(msg)
    import torch

    from rramfit.card import load_card
    from rramfit.card.cells import load_cells
    from rramfit.mapping.study.datasets import load_dataset
    from rramfit.mapping.study.networks import load_weights, make_network
    from rramfit.mapping.study.scores.metrics import metric_by_name
    from rramfit.mapping.tiles.setup import analog_setup
    from rramfit.measurement import read_measurement, replay
    from rramfit.measurement.virtual.reference_chip import reference_card
    from rramfit.training.loop.rank import device_by_name
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
    device = device_by_name(options["device"])
    setup = analog_setup(
        card,
        device=device,
        tile=options["tile"],
        scheme=options["scheme"],
        slices=options["slices"],
        weight_values=options["weight_values"],
        peripherals=peripherals_of(options, coding=serial),
        wires_by=options["wires"] or ("exact" if rows == "grounded" else "estimate"),
        inactive_rows=options["inactive_rows"],
        factors=[f for f in FACTORS if f not in options["off"]],
        time=options["time"],
        temperature=options["temperature"],
        reads=options["reads"],
        cycles=options["cycles"],
        origin=origin,
        place_around_faults=options["place"],
        spare_columns=options["spare_columns"],
        chip_spread=options["chip_spread"],
    )
    data = load_dataset(options["data"])
    metric = metric_by_name(options.get("metric") or data.metric)
    network = make_network(
        options["model"], data.shape, data.classes, seed=options["seed"], data=data
    ).to(device)
    mapping = None
    if options["checkpoint"]:
        mapping = load_weights(network, options["checkpoint"])
    elif weights is not None:
        state = torch.load(io.BytesIO(weights), map_location="cpu", weights_only=True)
        network.load_state_dict(state)
    elif trained:
        if options["model"] != "mlp":
            msg = (
                f"{options['model']} is not trained. Add --checkpoint; only mlp is trained "
                "automatically"
            )
            raise click.UsageError(msg)
        train_plain(network, data.train_images, data.train_labels, seed=options["seed"])
    return Subject(
        name=options["model"],
        card=card.name,
        model_card=card,
        network=network.eval(),
        data=data,
        setup=setup,
        mapping=mapping,
        seed=options["seed"],
        assumptions=setup.model.assumptions,
        metric=metric,
        digital=tuple(options["digital"]),
        strict=options["strict"],
    )
