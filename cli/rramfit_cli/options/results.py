"""Results of a training: accuracies of its networks, digital and on chips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rramfit_cli.console import console, print_json
from rramfit_cli.page_origin import study_origin

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rramfit.mapping.study.evaluation import Evaluation
    from rramfit.training.loop.history import Epoch
    from rramfit_cli.options.network import Subject

__all__ = ["digital_accuracy", "evaluate_on_chips", "show_results"]


def digital_accuracy(given: Subject, network: nn.Module) -> float:
    """Return the digital accuracy, or another metric, on all test images."""
    from rramfit.mapping.study.evaluation import accuracy

    images, labels = given.data.test_images, given.data.test_labels
    return accuracy(network, images, labels, metric=given.metric)


def evaluate_on_chips(
    network: nn.Module,
    given: Subject,
    *,
    mapping: Mapping[str, Mapping[str, Tensor]] | None,
    chips: int,
    images: int,
    name: str = "network",
) -> Evaluation:
    """Evaluate a network on chips; print if its BatchNorm statistics are not those of the chips."""
    from rramfit.mapping.study.evaluation import accuracy, evaluate
    from rramfit.training.loop.bn_recalibration import batch_norm_finding

    test, labels = given.data.test_images[:images], given.data.test_labels[:images]
    analog = given.on_chips(network=network, mapping=mapping)
    digital = accuracy(network, test, labels, metric=given.metric)
    found = evaluate(
        analog,
        test,
        labels,
        digital=digital,
        chips=chips,
        seed=given.seed,
        metric=given.metric,
    )
    finding = batch_norm_finding(analog, given.inputs)
    if finding:
        click.echo(f"{name}: {finding}", err=True)
    return found


def show_results(
    given: Subject,
    found: Mapping[str, tuple[float, Evaluation | None]],
    *,
    recipe: str,
    output: Path,
    history: Sequence[Epoch],
    report: Path | None,
    as_json: bool,
) -> None:
    """Print the result of a training: digital accuracy and accuracy on chips of each network."""
    chips = max((on.chips for _, on in found.values() if on is not None), default=0)
    images = max((on.images for _, on in found.values() if on is not None), default=0)
    conditions = None
    if chips:
        from rramfit.mapping import analog_matrices
        from rramfit.mapping.study.conditions import conditions_of

        conditions = conditions_of(
            analog_matrices(given.on_chips()),
            given.model_card,
            data=given.data.name,
            images=images,
            seed=given.seed,
            metric=given.metric.measure.name,
        ).with_chips(chips)
    if report is not None:
        from rramfit.reporting.page.origin import with_origin
        from rramfit.reporting.training import training_report

        page = training_report(
            given.name,
            given.setup,
            given.data.name,
            recipe=recipe,
            history=history,
            found=found,
            measure=given.metric.measure,
            conditions=conditions,
        )
        with_origin(page, study_origin(given.model_card, given.seed)).save(report)
    if as_json:
        print_json(
            {
                "network": given.name,
                "card": given.card,
                "data": given.data.name,
                "recipe": recipe,
                "seed": given.seed,
                "epochs": len(history),
                "checkpoint": str(output),
                "conditions": None if conditions is None else conditions.to_json(),
                **{
                    name: {"digital": digital, "chips": None if on is None else on.to_json()}
                    for name, (digital, on) in found.items()
                },
            }
        )
        return
    from rramfit.units import counted

    out, of = console(), given.metric.measure
    out.print(f"[bold]{given.name}[/] on {given.data.name}, {output}", highlight=False)
    for name, (digital, on) in found.items():
        out.print(f"  {name + ', digital':<24}{of.text(digital)}", highlight=False)
        if on is not None:
            label = f"{name}, {counted(on.chips, 'chip')}"
            text = f"{on.mean.text(of)} on {on.images} images, chips of {given.card}"
            out.print(f"  {label:<24}{text}", highlight=False)
