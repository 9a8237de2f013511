"""`rramfit demo`: a first card and report, from the installed package alone."""

from __future__ import annotations

from pathlib import Path

import click

from rramfit_cli.commands.characterize import characterize
from rramfit_cli.console import stages
from rramfit_cli.overwriting import check_before, force_option

__all__ = ["demo"]

# The reference measurement of the repository (data/README.md).
_SEED, _MISSING, _MAX_PULSES = 16, 0.002, 64
_GROUPS = ("program", "reads", "retention", "iv", "mvm", "readout")
_TIME = "2026-01-01T00:00:00+00:00"


@click.command()
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("rramfit-demo"),
    help="Folder for the measurement and the results.",
)
@force_option
@click.pass_context
def demo(ctx: click.Context, output: Path) -> None:
    """Measure a virtual chip of 128 × 128 cells and characterize it.

    The folder then holds a measurement file, its card, its sidecar and its report. Everything is
    synthetic: nothing was measured.
    """
    from rramfit.measurement import Instrument, synthesize, write_measurement
    from rramfit.measurement.examples import sample_card
    from rramfit.provenance import check_folder

    path = output / "reference.h5"
    check_folder(output)
    check_before(path, "measurement", "synthesize")
    with stages("measuring a virtual chip"):
        drawn = synthesize(
            sample_card(),
            seed=_SEED,
            groups=_GROUPS,
            instrument=Instrument(missing=_MISSING, max_pulses=_MAX_PULSES),
            array_id="reference",
            measured_at=_TIME,
        )
        write_measurement(drawn, path)
    click.echo(f"{path}: {drawn.rows} × {drawn.cols} cells, synthetic", err=True)
    click.echo(f"rramfit characterize {path} -o {output}", err=True)
    ctx.invoke(characterize, files=(path,), output=output)
