"""`rramfit measurement sample`: files to try rramfit with, made by the installed package alone."""

from __future__ import annotations

from pathlib import Path

import click

from rramfit_cli.options.types import OUTPUT, output_of
from rramfit_cli.overwriting import force_option

__all__ = ["sample"]

_ROWS, _COLS, _SWEEPS, _SEED = 48, 48, 12, 1
_GROUPS = ("program", "reads", "retention", "iv", "mvm", "readout")


@click.command()
@click.option(
    "-o",
    "--output",
    type=output_of("measurement", "synthesize"),
    help="Measurement file to write: a small virtual chip.",
)
@click.option("--card", type=OUTPUT, help="Model card to write: that of the virtual chip.")
@click.option(
    "--layouts",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write example layout files to, with the README that documents their keys.",
)
@force_option
def sample(output: Path | None, card: Path | None, layouts: Path | None) -> None:
    """Write files to try rramfit with: a measurement, a card, layout files.

    The card can be used wherever a command takes one, for example in `rramfit measurement
    synthesize CARD`. Everything is synthetic: nothing was measured.
    """
    if output is None and card is None and layouts is None:
        msg = "Nothing to write. Add -o, --card or --layouts."
        raise click.UsageError(msg)
    if output is not None or card is not None:
        from rramfit.card import save_card
        from rramfit.measurement import synthesize, write_measurement
        from rramfit.measurement.examples import sample_card

        drawn_from = sample_card()
        if card is not None:
            save_card(drawn_from, card)
            click.echo(f"{card}: card {drawn_from.name}", err=True)
        if output is not None:
            drawn = synthesize(
                drawn_from,
                rows=_ROWS,
                cols=_COLS,
                sweeps=_SWEEPS,
                seed=_SEED,
                groups=_GROUPS,
                array_id="sample",
            )
            write_measurement(drawn, output)
            click.echo(f"{output}: {_ROWS} × {_COLS} cells, synthetic", err=True)
    if layouts is not None:
        _write_layouts(layouts)


def _write_layouts(folder: Path) -> None:
    from rramfit.measurement.examples import layout_examples
    from rramfit.provenance import atomic_file, check_folder

    check_folder(folder)
    texts = layout_examples()
    for name, text in texts.items():
        with atomic_file(folder / name) as beside:
            beside.write_text(text, encoding="utf-8")
    click.echo(f"{folder}: {len(texts)} files. Start with README.md.", err=True)
