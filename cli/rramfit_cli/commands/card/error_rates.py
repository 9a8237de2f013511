"""`rramfit card error-rates`: raw error rates at a time, at a temperature and after reads."""

from __future__ import annotations

from pathlib import Path

import click

from rramfit_cli.console import console, print_json
from rramfit_cli.options.types import INPUT, FiniteRange

__all__ = ["error_rates"]


@click.command("error-rates")
@click.argument("path", metavar="CARD", type=INPUT)
@click.option("--time", type=FiniteRange(min=0), default=0.0, help="Time since programming [s].")
@click.option(
    "--temperature",
    type=FiniteRange(min=0, min_open=True),
    metavar="KELVIN",
    help="Temperature [K]. Default: that of the card's bake.",
)
@click.option("--reads", type=click.IntRange(min=0), default=0, help="Reads since programming.")
@click.option(
    "--threshold",
    "given",
    metavar="LEVEL=SIEMENS",
    multiple=True,
    help="Read threshold above a level. Default: the card's. Repeat for several.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def error_rates(
    path: Path,
    time: float,
    temperature: float | None,
    reads: int,
    given: tuple[str, ...],
    as_json: bool,
) -> None:
    """Predict raw error rates of a card, and the code that they need for 1e-15.

    Rates are means of both directions, for levels that are equally frequent.
    """
    from rich.table import Table

    from rramfit.card import load_card
    from rramfit.fitting.tails import error_rates_at
    from rramfit.reporting.page.wording import with_unit
    from rramfit.units import format_rate

    card = load_card(path)
    found = error_rates_at(
        card, time=time, temperature=temperature, reads=reads, thresholds=_thresholds(given)
    )
    if as_json:
        print_json(found.to_dict())
        return
    names = {level.index: level.name for level in card.levels}
    table = Table("levels", "threshold", "raw error rate (95 %)", box=None, pad_edge=False)
    for r in found.rates:
        table.add_row(
            f"{names[r.lower]} and {names[r.upper]}",
            with_unit(r.threshold, "S"),
            format_rate(r.rate.value, r.rate.ci95),
        )
    out = console()
    out.print(table, highlight=False, markup=False)
    total = found.bit_error_rate
    click.echo(f"bit error rate in Gray code: {format_rate(total.value, total.ci95)}")
    for code in found.codes:
        name = "no code of rate 1/2 or above is enough"
        if code.kind is not None:
            name = f"{code.kind}, corrects {code.corrects}, {code.check_bits} check bits"
        limit = "none is enough"
        if code.corrects_at_limit is not None:
            limit = f"corrects {code.corrects_at_limit}"
        click.echo(f"{code.data_bits} data bits: {name}; at the upper limit: {limit}")
    for finding in found.at.findings:
        click.echo(f"  {finding}")


def _thresholds(given: tuple[str, ...]) -> dict[int, float]:
    """Parse thresholds [S] by the level below them."""
    out = {}
    for text in given:
        level, _, value = text.partition("=")
        try:
            out[int(level)] = float(value)
        except ValueError:
            msg = f"{text!r} is not LEVEL=SIEMENS, such as 0=45e-6"
            raise click.BadParameter(msg, param_hint="--threshold") from None
    return out
