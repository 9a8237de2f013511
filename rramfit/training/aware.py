"""Chip-aware training: train a network for a population of chips, or for one chip.

The forward is in `rramfit.training.forward.layer_forward`: quantised weights, new cells at every
step, wires by an anchored estimate, converters. In addition:

    ramp         the non-idealities increase from zero during the first share of the steps
    scales       are learned with the weights, with their own learning rate and without decay
    teacher      the network in float32; its softened outputs are a share of the loss
    BatchNorm    statistics are recalibrated on drawn chips at the end

For a population, every step draws all cells and faults. For one fitted chip (a setup whose origin
is `CellMaps`), faults and measured offsets are fixed and the rest is drawn.

With hardware in the loop, a layer's outputs are measured and the gradient is that of the digital
layer.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rramfit.mapping.layers.analog_weight import LayerMapping
from rramfit.mapping.layers.convert import convert_to_analog
from rramfit.mapping.study.datasets import Dataset
from rramfit.mapping.study.scores.metrics import Metric
from rramfit.mapping.tiles.setup import AnalogSetup
from rramfit.training.forward.layer_forward import Hardware
from rramfit.training.forward.preparation import (
    Anchors,
    prepare_training,
    renew_anchors,
    set_step,
    trained_forwards,
    trained_network,
)
from rramfit.training.loop.bn_recalibration import kept_statistics, recalibrate_batch_norm
from rramfit.training.loop.distillation import teacher_loss
from rramfit.training.loop.history import Epoch
from rramfit.training.loop.recipe import AwareStage
from rramfit.training.loop.stage import (
    Run,
    parameter_groups,
    tester,
    train_stage,
)

__all__ = ["Trained", "finish_training", "train_aware", "untrained_for_chips"]

CALIBRATION_IMAGES = 256

TESTED_WITH = 512
"""Images for BatchNorm statistics before the test after each epoch."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """Result of chip-aware training.

    Attributes
    ----------
    network : nn.Module
        Digital network with weights rounded to codes.
    mapping : dict of str to LayerMapping
        Scales and placements, for `convert_to_analog`.
    analog : nn.Module
        The analog network as trained, for further training.
    """

    network: nn.Module
    mapping: dict[str, dict[str, Tensor]]
    analog: nn.Module
    history: list[Epoch]


def train_aware(
    network: nn.Module,
    setup: AnalogSetup,
    data: Dataset,
    stage: AwareStage,
    run: Run,
    *,
    teacher: nn.Module | None = None,
    mapping: Mapping[str, LayerMapping] | None = None,
    hardware: Hardware | None = None,
    exclude: Collection[str] = (),
    strict: bool = False,
    metric: Metric | None = None,
) -> Trained:
    """Fine-tune a digital network for chips.

    Parameters
    ----------
    network : nn.Module
        Trained digitally or for chips. Not modified.
    setup : AnalogSetup
        Drawn chips, or one fitted chip. Factors that are off are off in training, too.
    data : Dataset
    stage : AwareStage
    run : Run
    teacher : nn.Module, optional
        Default: `network`.
    mapping : dict of str to LayerMapping, optional
        Initial scales and placements.
    hardware : callable, optional
        Measured products, see `rramfit.training.forward.layer_forward.Hardware`.
    exclude, strict
        As for `convert_to_analog`.
    metric : Metric, optional
        Of the history; by default that of the data.
    """
    device = next(network.parameters()).device
    inputs = data.train_images[:CALIBRATION_IMAGES].to(device)
    model = convert_to_analog(
        network,
        setup,
        inputs=inputs,
        mapping=mapping,
        seed=run.seed,
        exclude=exclude,
        strict=strict,
    )
    prepare_training(model, inputs, seed=run.seed, rank=run.rank.index)
    for name, _, forward in trained_forwards(model):
        forward.hardware, forward.name = hardware, name
        forward.log_scale.requires_grad_(stage.learn_scales)
    teacher = copy.deepcopy(network if teacher is None else teacher)
    if stage.channels_last:
        teacher.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def before_step(epoch: int, at: int, steps: int) -> None:
        if at % steps == 0 and epoch and epoch % stage.anchors_every == 0:
            set_step(model, at)
            renew_anchors(model, inputs)
        rising = stage.ramp * stage.epochs * steps
        set_step(model, at, strength=min(1.0, (at + 1) / rising) if rising else 1.0)

    plain_test = tester(data, stage, metric)
    few = stage.bn_recalibration_images

    def test(net: nn.Module) -> float:
        steps = [(f.step, f.strength) for _, _, f in trained_forwards(net)]
        with kept_statistics(net):
            # the moving averages lag behind; at the end the statistics are estimated again, too
            set_step(net, -2)
            net.train()
            recalibrate_batch_norm(net, data.train_images[: min(TESTED_WITH, few)])
            set_step(net, -1)  # cells that no training step draws
            found = plain_test(net)
        for (_, _, forward), (step, strength) in zip(trained_forwards(net), steps, strict=True):
            forward.step, forward.strength = step, strength
        return found

    history = train_stage(
        model,
        data,
        stage,
        run,
        loss=teacher_loss(stage, teacher.eval()),
        groups=_groups(model, stage),
        before_step=before_step,
        test=test,
        extra=Anchors(model),
        metric=metric,
    )
    digital, final = finish_training(
        model, data.train_images[: stage.bn_recalibration_images], inputs=inputs
    )
    return Trained(network=digital, mapping=final, analog=model, history=history)


def finish_training(
    model: nn.Module, images: Tensor, *, inputs: Tensor | None = None
) -> tuple[nn.Module, dict[str, dict[str, Tensor]]]:
    """End a training: recalibrate BatchNorm on drawn chips, and return the digital network.

    The moving averages of BatchNorm lag behind the weights, and those of a network with noise
    behind its noise: without new statistics a network can lose most of its accuracy.

    Parameters
    ----------
    model : nn.Module
        With training forwards, from `prepare_training`.
    images : tensor
        Inputs of the training set: some thousands for stable statistics.
    inputs : tensor, optional
        A batch to calibrate with; by default the first of `images`.

    Returns
    -------
    network : nn.Module
    mapping : dict of str to LayerMapping
        As `trained_network` returns them.
    """
    set_step(model, -2)
    model.train()
    recalibrate_batch_norm(model, images)
    model.eval()
    few = images[:CALIBRATION_IMAGES] if inputs is None else inputs
    renew_anchors(model, few.to(next(model.parameters()).device))
    return trained_network(model)


def untrained_for_chips(
    network: nn.Module,
    setup: AnalogSetup,
    images: Tensor,
    *,
    mapping: Mapping[str, LayerMapping] | None = None,
    exclude: Collection[str] = (),
    seed: int = 0,
) -> tuple[nn.Module, dict[str, dict[str, Tensor]]]:
    """Return what chip-aware training without a step returns: new BatchNorm statistics only.

    This is the network to compare a trained one with: both have statistics of drawn chips.
    """
    inputs = images[:CALIBRATION_IMAGES].to(next(network.parameters()).device)
    model = convert_to_analog(
        network, setup, inputs=inputs, mapping=mapping, exclude=exclude, seed=seed
    )
    prepare_training(model, inputs, seed=seed)
    return finish_training(model, images, inputs=inputs)


def _groups(model: nn.Module, stage: AwareStage) -> list[dict[str, object]]:
    scales = [f.log_scale for _, _, f in trained_forwards(model) if f.log_scale.requires_grad]
    known = {id(p) for p in scales}
    groups = parameter_groups(model)
    for group in groups:
        group["params"] = [p for p in group["params"] if id(p) not in known]
    return [*groups, {"params": scales, "weight_decay": 0.0, "rate_factor": stage.scale_rate}]
