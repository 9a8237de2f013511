"""Run the chips of an evaluation or ablation: here, in processes, on a cluster, or part of them.

A process gets the options of the command and, if the command trained the network, its weights. It
makes network, data and setup from them as the command does, so its chips have the same numbers.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rramfit_cli.options.network import Subject, bn_recalibrator, subject
from rramfit_cli.options.workers import INTERRUPTED, ends_as_interrupt
from rramfit_cli.progress import counted_progress

if TYPE_CHECKING:
    from torch import nn

    from rramfit.mapping.study.ablation import AblationCase
    from rramfit.mapping.study.chip_results import ChipResults
    from rramfit.mapping.study.study_record import StudyRecord

__all__ = [
    "StudyJob",
    "chips_of",
    "mapped",
    "resumed",
    "run_study",
    "run_study_here",
    "study_job",
]

_PIECES_PER_JOB, _LARGEST_PIECE = 8, 25
_SAVE_EVERY = 5.0  # [s]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyJob:
    """What a process needs to evaluate chips.

    Attributes
    ----------
    options : dict
        Of the command, for `subject`.
    weights : bytes, optional
        State dict of the network, if there is no checkpoint.
    images, bn_recalibration : int, optional
    card_draws : int
    key : str
        Digest of what the results depend on.
    threads : int, optional
        Number of threads of a process; the results do not depend on it.
    """

    options: dict[str, Any]
    weights: bytes | None
    images: int | None
    bn_recalibration: int | None
    card_draws: int
    key: str
    threads: int | None = None


def study_job(
    given: Subject,
    options: dict[str, Any],
    *,
    images: int | None,
    bn_recalibration: int | None,
    card_draws: int = 0,
    chips: int = 0,
    jobs: int = 1,
) -> StudyJob:
    """Return the job of a study, with the digest of all that its results depend on."""
    import torch

    from rramfit.provenance import package_version, sha256_of

    state = given.network.state_dict()
    plain = {
        name: sha256_of(value) if name in ("cells", "replay") and value else value
        for name, value in sorted(options.items())
        if name not in ("card", "checkpoint", "data")
    }
    plain |= {
        "card": given.model_card.digest,
        "version": package_version(),
        "bn_recalibration": bn_recalibration,
        "card_draws": card_draws,
        "chips": chips if card_draws else None,
    }
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode())
    tensors = {
        **state,
        **{f"{a}/{b}": x for a, of in (given.mapping or {}).items() for b, x in of.items()},
        " images": given.data.test_images[:images],
        " labels": given.data.test_labels[:images],
        " inputs": given.inputs,
        " recalibration": given.data.train_images[: bn_recalibration or 0],
    }
    for name, tensor in sorted(tensors.items()):
        content = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tuple(content.shape)} {content.dtype}".encode())
        digest.update(content.reshape(-1).view(torch.uint8).numpy().tobytes())
    weights = io.BytesIO()
    torch.save(state, weights)
    return StudyJob(
        options=options,
        weights=None if options["checkpoint"] else weights.getvalue(),
        images=images,
        bn_recalibration=bn_recalibration,
        card_draws=card_draws,
        key=f"sha256:{digest.hexdigest()}",
        threads=max(1, torch.get_num_threads() // jobs) if jobs > 1 else None,
    )


def resumed(record: StudyRecord, save: Path | None, *, resume: bool) -> StudyRecord:
    """Return the record with the chips of the saved one, if it is to be resumed and exists.

    Raises
    ------
    InputError
        If the saved one is of another study.
    """
    from rramfit.mapping.study.study_record import load_record, merge_records

    if not resume or save is None or not save.exists():
        return record
    return merge_records([record, load_record(save, record.kind)], [Path("this command"), save])


def run_study(
    job: StudyJob,
    record: StudyRecord,
    cases: Sequence[AblationCase],
    wanted: Callable[[AblationCase], range],
    *,
    given: Subject,
    jobs: int = 1,
    scheduler: str | None = None,
    until: float | None = None,
    save: Path | None = None,
    on_chips: Callable[[int], None] = lambda _: None,
) -> None:
    """Evaluate the chips that the record does not have, and add them.

    Parameters
    ----------
    job : StudyJob
    record : StudyRecord
    cases : sequence of AblationCase
    wanted : callable (case) -> range
        Chips of each case.
    given : Subject
        The subject of the job, for chips in this process.
    jobs, scheduler
        As for `run_tasks`.
    until : float, optional
        Stop a case when the interval of its mean is at most this wide [percentage points].
    save : Path, optional
        File for the record, written now and then, and at an interrupt.
    on_chips : callable (int), optional
        Called with the number of chips that were done.

    Raises
    ------
    WorkersError
        If the chips of a process are lost; the others are saved.
    """
    from rramfit.mapping.study.stopping import checkpoints, is_narrow

    _made[job.key] = given
    saved = time.monotonic()

    def run(some: list[tuple[AblationCase, range]]) -> None:
        nonlocal saved
        divided = jobs > 1 or scheduler is not None
        count = sum(len(indices) for _, indices in some)
        size = min(_LARGEST_PIECE, -(-count // (_PIECES_PER_JOB * jobs))) if divided else 1
        if job.card_draws and not divided:
            size = max(count, 1)
        tasks = [
            (job, case, piece.start, piece.stop)
            for case, indices in some
            for piece in record.missing(case.name, indices, size=max(size, 1))
        ]
        for case, part in _parts(tasks, jobs, scheduler):
            record.cases[case.name].add(part)
            on_chips(len(part.hits))
            if save is not None and time.monotonic() - saved > _SAVE_EVERY:
                record.save(save)
                saved = time.monotonic()

    try:
        if until is None:
            run([(case, wanted(case)) for case in cases])
            return
        for case in cases:
            of = record.cases[case.name]
            for count in checkpoints(len(wanted(case))):
                if of.done > count:  # passed before this run was resumed
                    continue
                run([(case, range(count))])
                if (found := record.evaluation(case.name)) and is_narrow(found, until):
                    of.chips = count
                    break
    finally:
        if save is not None:
            record.save(save)


def _parts(
    tasks: Sequence[tuple[StudyJob, AblationCase, int, int]], jobs: int, scheduler: str | None
) -> Iterator[tuple[AblationCase, ChipResults]]:
    from rramfit.errors import WorkersError
    from rramfit.workers import Lost, run_tasks

    if jobs == 1 and scheduler is None:
        for task in tasks:
            yield task[1], chips_of(*task)
        return
    for at, found in run_tasks(chips_of, tasks, jobs=jobs, scheduler=scheduler):
        _, case, first, stop = tasks[at]
        if isinstance(found, Lost):
            if found.error is not None:
                raise found.error
            msg = f"chips {first} to {stop - 1} were lost: {found.summary}. {found.text}".rstrip()
            raise WorkersError(msg)
        yield case, found


_made: dict[str, Subject] = {}
_mapped: dict[tuple[str, str], nn.Module] = {}


def mapped(job: StudyJob, case: AblationCase, given: Subject) -> nn.Module:
    """Return the network on the chips of a case; the last one is kept."""
    if (job.key, case.name) not in _mapped:
        _mapped.clear()
        _mapped[job.key, case.name] = given.on_chips(setup=case.of(given.setup))
    return _mapped[job.key, case.name]


def chips_of(job: StudyJob, case: AblationCase, first: int, stop: int) -> ChipResults:
    """Evaluate chips `first` to `stop` − 1 of a case, in any process."""
    import torch

    from rramfit.mapping.study.evaluation import evaluate_chips

    if job.key not in _made:
        if job.threads is not None:
            torch.set_num_threads(job.threads)
        _made.clear()
        _made[job.key] = subject(job.options, trained=True, weights=job.weights)
    given = _made[job.key]
    return evaluate_chips(
        mapped(job, case, given),
        given.data.test_images[: job.images],
        given.data.test_labels[: job.images],
        range(first, stop),
        seed=given.seed,
        after_programming=None
        if case.without == "bn-recalibration"
        else bn_recalibrator(given, job.bn_recalibration),
        card=given.model_card,
        card_draws=job.card_draws,
        chips=case.chips,
        metric=given.metric,
        committee=case.committee,
        mirror=case.mirror,
    )


def run_study_here(
    job: StudyJob,
    record: StudyRecord,
    cases: Sequence[AblationCase],
    wanted: Callable[[AblationCase], range],
    *,
    given: Subject,
    jobs: int,
    scheduler: str | None,
    until: float | None,
    save: Path | None,
) -> None:
    """Run a study as a command does: with its progress, and an exit code at an interrupt.

    Parameters are those of `run_study`.
    """
    total = sum(len(wanted(case)) for case in cases)
    try:
        with ends_as_interrupt(), counted_progress("evaluating", total, "chips") as show:
            run_study(
                job,
                record,
                cases,
                wanted,
                given=given,
                jobs=jobs,
                scheduler=scheduler,
                until=until,
                save=save,
                on_chips=lambda _: show(sum(x.done for x in record.cases.values()), 0),
            )
    except KeyboardInterrupt:
        _print_interrupted(record, save)
        sys.exit(INTERRUPTED)


def _print_interrupted(record: StudyRecord, save: Path | None) -> None:
    """Say what an interrupted study keeps."""
    done = sum(case.done for case in record.cases.values())
    total = sum(case.chips for case in record.cases.values())
    kept = (
        "Name a file with --save to keep them."
        if save is None
        else f"They are in {save}: add --resume to the command to continue."
    )
    click.echo(f"Interrupted: {done} of {total} chips are done. {kept}", err=True)
