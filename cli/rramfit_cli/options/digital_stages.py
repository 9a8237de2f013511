"""Digital stages of `rramfit train`: the teacher, if the recipe trains one, and the plain network.

Each stage has a checkpoint with its identity, so that a finished or interrupted one is resumed. The
identity of a stage that learns from a teacher contains the teacher's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rramfit_cli.options.training import checkpoint_identity, save_trained

if TYPE_CHECKING:
    from torch import nn

    from rramfit.training.loop.history import Epoch
    from rramfit.training.loop.recipe import Recipe, Stage
    from rramfit.training.loop.stage import Run
    from rramfit_cli.options.network import Subject

__all__ = ["DigitalStage", "digital_stages", "load_teacher", "teacher_files"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DigitalStage:
    """A network to train digitally, and its checkpoint."""

    name: str  # of the stage: teacher or plain
    model: str
    network: nn.Module
    stage: Stage
    out: Path
    state: Path  # file for resuming
    identity: Mapping[str, str]

    def train(
        self, given: Subject, run: Run, *, recipe: str, csv: Path, teacher: nn.Module | None
    ) -> list[Epoch]:
        """Train the network in place and save it, or load it if this stage is finished."""
        from rramfit.training.loop.checkpoint import load_checkpoint
        from rramfit.training.loop.distillation import teacher_loss
        from rramfit.training.loop.history import stage_of
        from rramfit.training.loop.stage import train_stage

        kept = load_checkpoint(self.out, identity=run.identity, strict=False)
        if run.resume and kept is not None:
            self.network.load_state_dict(kept["model"])
            self.network.eval()
            return stage_of(csv, run.stage)
        history = train_stage(
            self.network,
            given.data,
            self.stage,
            run,
            loss=teacher_loss(self.stage, teacher),
            metric=given.metric,
        )
        if run.rank.first:
            save_trained(given, self.network, run, out=self.out, recipe=recipe, model=self.model)
        return history


def teacher_files(how: Recipe, out: Path, teacher: Path | None) -> tuple[Path, ...]:
    """Return the checkpoint and the state file of the recipe's teacher; none if it has none."""
    if how.teacher is None or teacher is not None:
        return ()
    return out.with_suffix(".teacher.pt"), out.with_suffix(".teacher.state")


def digital_stages(
    how: Recipe, given: Subject, *, out: Path, teacher: Path | None, plain: Path | None
) -> list[DigitalStage]:
    """Return the digital stages of a training, in order.

    Parameters
    ----------
    how : Recipe
    given : Subject
    out : Path
        Checkpoint of the training; the teacher's has its name.
    teacher : Path, optional
        Checkpoint of a teacher, in place of the recipe's.
    plain : Path, optional
        Checkpoint of the plain network; None if that is given.

    Raises
    ------
    MappingError
        If the recipe's teacher is no built-in network, or does not fit the data.
    click.UsageError
        If the plain stage has a share of distillation and there is no teacher.
    """
    import click

    from rramfit.mapping.study.networks import make_network

    taught = plain is not None and how.plain.distillation > 0
    if taught and how.teacher is None and teacher is None:
        msg = (
            f"the plain stage of recipe {how.name} has distillation {how.plain.distillation:g} and "
            "no teacher. Add --teacher, or a table [teacher] to the recipe"
        )
        raise click.UsageError(msg)
    data, found, of_teacher = given.data, list[DigitalStage](), dict[str, str]()
    if how.teacher is not None and teacher is None:
        checkpoint, state = teacher_files(how, out, teacher)
        name = how.teacher.network
        network = make_network(name, data.shape, data.classes, seed=given.seed, data=data)
        of_teacher = checkpoint_identity(
            "teacher", how.teacher, given, {"seed": given.seed}, network=network
        )
        found.append(
            DigitalStage(
                name="teacher",
                model=name,
                network=network.to(given.device),
                stage=how.teacher,
                out=checkpoint,
                state=state,
                identity=of_teacher,
            )
        )
    if plain is not None:
        about = {"model": given.name, "seed": given.seed} | ({"teacher": teacher} if taught else {})
        of_plain = checkpoint_identity("plain", how.plain, given, about)
        if taught:
            of_plain = {**of_teacher, **of_plain}
        found.append(
            DigitalStage(
                name="plain",
                model=given.name,
                network=given.network,
                stage=how.plain,
                out=plain,
                state=out.with_suffix(".state"),
                identity=of_plain,
            )
        )
    return found


def load_teacher(given: Subject, weights: Path | None) -> nn.Module | None:
    """Load the teacher: a network like the given one, or the built-in one that its file names.

    Raises
    ------
    CheckpointError
        If the file does not hold the weights of such a network.
    """
    import copy

    from rramfit.mapping.layers.tensor_files import load_tensors
    from rramfit.mapping.study.networks import NETWORKS, load_weights, make_network

    if weights is None:
        return None
    named = load_tensors(weights, expected="a checkpoint of the teacher").get("network")
    if isinstance(named, str) and named in NETWORKS and named != given.name:
        data = given.data
        teacher = make_network(named, data.shape, data.classes, data=data).to(given.device)
    else:
        teacher = copy.deepcopy(given.network)
    load_weights(teacher, weights)
    return teacher.eval()
