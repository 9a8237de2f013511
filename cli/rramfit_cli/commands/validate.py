"""`rramfit validate`: test whether a card predicts another chip."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from rramfit_cli.console import print_json, stages
from rramfit_cli.options.types import INPUT, SEED

__all__ = ["validate"]

_NOT_PREDICTED = 4


@click.command()
@click.argument("card", type=INPUT)
@click.argument("other", type=INPUT)
@click.option("--seed", type=SEED, default=0, help="Seed of cross-validation folds and bootstraps.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def validate(card: Path, other: Path, seed: int, as_json: bool) -> None:
    """Test whether CARD predicts the chip measured in OTHER.

    Characterizes OTHER, compares its parameters with those of the card, and its readings with the
    distributions of the card. If the card does not state the variation between arrays, trends over
    the two arrays count as such, and a difference of up to 10 % is reported but does not count as
    failure. Exit code 4: the card does not predict the chip.
    """
    from rramfit.card import load_card
    from rramfit.fitting.characterization import characterize
    from rramfit.fitting.comparison.prediction import predict_other

    known = load_card(card)
    with stages("validating") as on_stage:
        found = characterize(other, seed=seed, on_stage=on_stage)
        check = predict_other(known, found, seed=seed)
    if as_json:
        print_json(check.to_dict())
    else:
        click.echo(check.summary())
    sys.exit(0 if check.predicts else _NOT_PREDICTED)
