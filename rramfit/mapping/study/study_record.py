"""Record of an evaluation or ablation that is made in parts: what was run, and all chips so far.

Parts belong together if their key is equal: the digest of everything that a chip's result depends
on (network, test images, card, setup, seed, version). A record is a JSON document, so that parts
can be saved, resumed, made on several machines and merged.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rramfit.errors import InputError
from rramfit.mapping.study.chip_results import ChipResults, join, pieces
from rramfit.mapping.study.evaluation import Evaluation, evaluation_of
from rramfit.mapping.study.scores.metrics import ACCURACY, Measure
from rramfit.provenance import atomic_file

__all__ = ["CaseRecord", "StudyRecord", "load_record", "merge_records"]

_FORMAT = "rramfit_study"


@dataclass(slots=True)
class CaseRecord:
    """The chips of one case.

    Attributes
    ----------
    chips : int
        Number of chips of the whole study; their indices are 0 to chips − 1.
    parts : list of ChipResults
        Neighbours are joined.
    """

    chips: int
    parts: list[ChipResults] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Number of chips with results."""
        return sum(len(part.hits) for part in self.parts)

    def add(self, part: ChipResults) -> None:
        """Add results of more chips."""
        self.parts = join([*self.parts, part])


@dataclass(slots=True, kw_only=True)
class StudyRecord:
    """What was run, and the chips so far.

    Attributes
    ----------
    kind : str
        "evaluate" or "ablate".
    key : str
        Digest of what the results depend on.
    about : dict
        Network, card, data, seed and the like, for the results as JSON.
    digital, threshold : float
        As for `evaluate`.
    card_draws : int
    cases : dict of str to CaseRecord
        An evaluation has one case, and one for each committee or mirrored images.
    measure : Measure
    """

    kind: str
    key: str
    about: dict[str, Any]
    digital: float
    threshold: float
    card_draws: int
    cases: dict[str, CaseRecord]
    measure: Measure = ACCURACY.measure

    def missing(self, case: str, wanted: range, *, size: int) -> list[range]:
        """Return chips of `wanted` that are not done, in pieces of at most `size`."""
        of = self.cases[case]
        return pieces(wanted, of.parts, size=size, chips=of.chips, draws=self.card_draws)

    def evaluation(self, case: str) -> Evaluation | None:
        """Return the evaluation of the chips of a case; None unless they are consecutive."""
        parts = self.cases[case].parts
        if len(parts) != 1:
            return None
        return evaluation_of(
            parts[0],
            digital=self.digital,
            threshold=self.threshold,
            card_draws=self.card_draws,
            measure=self.measure,
        )

    def gaps(self) -> dict[str, list[range]]:
        """Return the chips that are not done, by case."""
        found = {
            name: self.missing(name, range(case.chips), size=case.chips)
            for name, case in self.cases.items()
        }
        return {name: gaps for name, gaps in found.items() if gaps}

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON types."""
        return {
            _FORMAT: self.kind,
            "key": self.key,
            "about": self.about,
            "digital": self.digital,
            "threshold": self.threshold,
            "card_draws": self.card_draws,
            "metric": self.measure.to_json(),
            "cases": {
                name: {"chips": case.chips, "parts": [part.to_json() for part in case.parts]}
                for name, case in self.cases.items()
            },
        }

    def save(self, path: Path) -> None:
        """Write the record."""
        with atomic_file(path) as part:
            part.write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")


def load_record(path: Path, kind: str) -> StudyRecord:
    """Read a record, or the one in the JSON result of a command.

    Raises
    ------
    InputError
        If the file has no record of this kind, or its counts contradict each other.
    """
    expected = f"a result of `rramfit {kind} --json` or --save"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content = content.get("record", content) if isinstance(content, dict) else {}
        if content.get(_FORMAT) != kind:
            found = (
                f"a result of `rramfit {content[_FORMAT]}`" if _FORMAT in content else "no record"
            )
            raise InputError(path, _FORMAT, found=found, expected=expected)
        return _record_of(content)
    except OSError as e:
        raise InputError(path, "file", found=e.strerror or str(e), expected=expected) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise InputError(
            path, "record", found=f"{type(e).__name__}: {e}", expected=expected
        ) from None


def _record_of(content: Mapping[str, Any]) -> StudyRecord:
    cases = {}
    for name, case in content["cases"].items():
        parts = join([ChipResults.from_json(part) for part in case["parts"]])
        if parts and parts[-1].indices.stop > case["chips"]:
            msg = f"chip {parts[-1].indices.stop - 1} of {case['chips']}"
            raise ValueError(msg)
        cases[str(name)] = CaseRecord(int(case["chips"]), parts)
    record = StudyRecord(
        kind=str(content[_FORMAT]),
        key=str(content["key"]),
        about=dict(content["about"]),
        digital=float(content["digital"]),
        threshold=float(content["threshold"]),
        card_draws=int(content["card_draws"]),
        cases=cases,
        measure=Measure.from_json(content["metric"]) if "metric" in content else ACCURACY.measure,
    )
    limits = (record.digital, record.threshold)
    possible = all(0 <= x <= 1 if record.measure.share else math.isfinite(x) for x in limits)
    if not cases or not possible:
        msg = "no case, or an accuracy that is not between 0 and 1"
        raise ValueError(msg)
    return record


def merge_records(records: Sequence[StudyRecord], paths: Sequence[Path]) -> StudyRecord:
    """Return one record with the chips of all.

    Raises
    ------
    InputError
        If two differ in what they evaluate, or have a chip in common.
    """
    first = records[0]
    merged = StudyRecord(
        kind=first.kind,
        key=first.key,
        about=first.about,
        digital=first.digital,
        threshold=first.threshold,
        card_draws=first.card_draws,
        cases={},
        measure=first.measure,
    )
    for record, path in zip(records, paths, strict=True):
        if (record.key, record.threshold) != (first.key, first.threshold):
            raise InputError(
                path,
                "key",
                found="another network, card, data set, setup, seed or version",
                expected=f"the same as in {paths[0]}",
                remedy="merge parts of one study: the same command with other --shard or --first",
            )
        for name, case in record.cases.items():
            into = merged.cases.setdefault(name, CaseRecord(case.chips))
            into.chips = max(into.chips, case.chips)
            try:
                into.parts = join([*into.parts, *case.parts])
            except ValueError as e:
                raise InputError(
                    path, name, found=str(e), expected="chips that no other file has"
                ) from None
    return merged
