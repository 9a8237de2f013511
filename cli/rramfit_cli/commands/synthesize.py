"""`rramfit measurement synthesize`: measure a virtual chip, drawn from a card and a seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from rramfit_cli.options.types import INPUT, SEED, FiniteRange, output_of
from rramfit_cli.overwriting import force_option

__all__ = ["synthesize"]

_GROUPS = (
    "program",
    "reads",
    "retention",
    "iv",
    "mvm",
    "readout",
    "endurance",
    "pulses",
    "attempts",
)
_MESS = {
    "moving-stuck": "share of cells",
    "middle-stuck": "share of cells",
    "clusters": "share of cells",
    "corner": "share of cells",
    "shared-failures": "correlation between levels",
    "off-level": "share of cells",
    "row-offsets": "standard deviation, relative to the level's",
    "col-offsets": "the same",
    "folded-offsets": "the same, of a column's rows that are equal modulo 4",
    "bimodal": "distance of the modes, in standard deviations of the level",
    "telegraph": "share of cells",
    "column-gain": "share of columns",
    "sweep-drift": "relative",
}


class _Size(click.ParamType):  # type: ignore[type-arg]  # generic only in newer stubs
    """A kind of mess and its size, such as telegraph=0.05."""

    name = "KIND=SIZE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        """Split the text and convert the size."""
        if isinstance(value, tuple):
            return value
        from rramfit.errors import ArrayError
        from rramfit.measurement import Mess

        kind, given, text = str(value).partition("=")
        if kind not in _MESS:
            self.fail(f"{kind!r} is not a kind of mess. Choose from {', '.join(_MESS)}", param, ctx)
        if not given:
            self.fail(f"{kind} has no size. Add one, such as {kind}=0.05", param, ctx)
        field, size = kind.replace("-", "_"), FiniteRange(min=0).convert(text, param, ctx)
        try:
            Mess(**{field: size})
        except ArrayError as e:
            self.fail(str(e), param, ctx)
        return field, size


@click.command()
@click.argument("card", type=INPUT)
@click.option(
    "-o",
    "--output",
    type=output_of("measurement", "synthesize"),
    required=True,
    help="File to write.",
)
@click.option("--seed", type=SEED, default=0, help="Seed of the chip and its measurement.")
@click.option("--rows", type=click.IntRange(min=1), help="Rows.", show_default="as in CARD")
@click.option("--cols", type=click.IntRange(min=1), help="Columns.", show_default="as in CARD")
@click.option(
    "--sweeps",
    type=click.IntRange(min=1),
    default=24,
    show_default=True,
    help="Programming sweeps. With L levels, L sweeps program each cell once to each level.",
)
@click.option(
    "--group",
    "groups",
    type=click.Choice(_GROUPS),
    multiple=True,
    default=("program",),
    show_default=True,
    help="Group of the file to measure; repeat for several.",
)
@click.option(
    "--iv-loops",
    type=click.IntRange(min=0),
    default=0,
    help="I-V sweeps of each cell through SET and RESET, instead of one below switching.",
)
@click.option(
    "--bake",
    "bakes",
    type=FiniteRange(min=0, min_open=True),
    multiple=True,
    metavar="KELVIN",
    help="Temperature of a further bake in /retention; repeat for several.",
)
@click.option(
    "--life",
    type=FiniteRange(min=0, min_open=True),
    nargs=2,
    metavar="SHAPE CYCLES",
    help="Cells of /endurance fail: Weibull shape, and the cycles by which 63 % have failed. Cells "
    "that outlive the card's longest cycle count are censored.",
)
@click.option(
    "--endurance-points",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Cycle counts at which /endurance is read.",
)
@click.option(
    "--attempt-success",
    type=FiniteRange(0, 1, min_open=True),
    help="Probability that one pulse of /attempts brings the cell into its window.",
)
@click.option(
    "--attempt-spread",
    type=FiniteRange(min=0),
    default=0.0,
    help="Spread of this probability over cells (beta distribution with shapes p/SPREAD and "
    "(1 - p)/SPREAD).",
)
@click.option(
    "--sessions", type=click.IntRange(min=1), default=1, help="Sessions in which /reads is read."
)
@click.option(
    "--session-spread",
    type=FiniteRange(min=0),
    default=0.0,
    help="Relative standard deviation of readings between sessions.",
)
@click.option("--offset", type=float, default=0.0, help="Offset added to every cell reading [S].")
@click.option("--floor", type=float, help="Lower limit of cell readings [S].")
@click.option("--ceiling", type=float, help="Upper limit of cell readings [S].")
@click.option("--missing", type=FiniteRange(0, 1), default=0.0, help="Share of missing readings.")
@click.option(
    "--max-pulses", type=click.IntRange(min=1), help="Record pulse counts, up to this number."
)
@click.option(
    "--mess",
    "mess",
    type=_Size(),
    multiple=True,
    help="Defect that the model of CARD does not contain; repeat for several. Kinds and sizes: "
    + ", ".join(f"{kind} ({size})" for kind, size in _MESS.items())
    + ".",
)
@click.option("--array-id", help="Identifier of the array.")
@click.option("--measured-at", help="Time of the measurement, ISO 8601 with time zone.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@force_option
def synthesize(
    card: Path,
    output: Path,
    *,
    seed: int,
    rows: int | None,
    cols: int | None,
    sweeps: int,
    groups: tuple[str, ...],
    iv_loops: int,
    bakes: tuple[float, ...],
    life: tuple[float, float] | None,
    endurance_points: int,
    attempt_success: float | None,
    attempt_spread: float,
    sessions: int,
    session_spread: float,
    offset: float,
    floor: float | None,
    ceiling: float | None,
    missing: float,
    max_pulses: int | None,
    mess: tuple[tuple[str, float], ...],
    array_id: str | None,
    measured_at: str | None,
    as_json: bool,
) -> None:
    """Draw a virtual chip from CARD and measure it.

    The file is marked as synthetic and holds the true parameters in /truth. The same card, options
    and seed give the same content.
    """
    from rramfit.card.document import load_card
    from rramfit.measurement import Instrument, Mess, Plan
    from rramfit.measurement import synthesize as draw
    from rramfit.measurement.file.write import write_measurement

    drawn = draw(
        load_card(card),
        rows=rows,
        cols=cols,
        sweeps=sweeps,
        seed=seed,
        groups=groups,
        instrument=Instrument(
            offset=offset, floor=floor, ceiling=ceiling, missing=missing, max_pulses=max_pulses
        ),
        plan=Plan(
            iv_loops=iv_loops,
            bake_temperatures=bakes,
            life=life,
            endurance_points=endurance_points,
            attempt_success=attempt_success,
            attempt_spread=attempt_spread,
            sessions=sessions,
            session_spread=session_spread,
        ),
        mess=Mess(**dict(mess)),
        array_id=array_id,
        measured_at=measured_at,
    )
    write_measurement(drawn, output)
    if as_json:
        facts = {"path": str(output), "rows": drawn.rows, "cols": drawn.cols, "truth": drawn.truth}
        click.echo(json.dumps(facts))
    else:
        size = output.stat().st_size / 1e6
        click.echo(
            f"{output}: {drawn.rows} × {drawn.cols} cells, {', '.join(groups)}, {size:.1f} MB"
        )
