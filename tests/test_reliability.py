"""A small share of the reliability study; `make check-long` runs all of it."""

import sys
from pathlib import Path

import pytest

SHARE = {
    "sealed": 40,
    "unsealed": 30,
    "plain": 30,
    "commands": 20,
    "card": 60,
    "resealed": 40,
    "cells": 40,
    "layout": 60,
    "log": 40,
    "checkpoint": 60,
    "cifar": 40,
}


@pytest.fixture(scope="module")
def study(repo):
    """The modules of the study, which are a program of their own."""
    folder = str(repo / "tests/studies/reliability")
    names = {p.stem for p in Path(folder).glob("*.py")}
    sys.path.insert(0, folder)
    yield
    sys.path.remove(folder)
    for name in names & set(sys.modules):
        del sys.modules[name]


@pytest.fixture(scope="module")
def sources(study, tmp_path_factory):
    from sources import make_sources

    folder = tmp_path_factory.mktemp("sources")
    make_sources(folder)
    return folder


@pytest.mark.parametrize("name", SHARE)
def test_mutated_files_are_a_sentence_or_read(sources, name):
    from sources import FILES
    from targets import TARGETS
    from worker import outcome_of, sound_of

    assert set(SHARE) | {"report"} == set(TARGETS)
    target, sound = TARGETS[name], sound_of(name, sources)
    found = {n: outcome_of(name, n, sources, sound) for n in range(SHARE[name])}
    wrong = {n: o for n, o in found.items() if o[0] == "raw"}
    assert not wrong
    assert (sources / FILES[target.source]).is_file()
    outcomes = {o for o, _ in found.values()}
    assert "sentence" in outcomes or target.text  # a row of a log that is no row is counted
    if target.checked:
        assert "other" not in outcomes


def test_a_report_is_written_from_records(study, tmp_path):
    from table import write_report

    (tmp_path / "sealed.jsonl").write_text(
        '{"first": 0, "count": 2, "outcomes": {"sentence": 1, "other": 1}, '
        '"notes": [[1, "other", ""]]}\n'
    )
    assert write_report(tmp_path, tmp_path / "report.md") == 1
    text = (tmp_path / "report.md").read_text()
    assert "| sealed (measurement) | 2 |  | 1 | 0 | 0 | 1 | 0 | 0 | 0 |" in text
    assert "`sealed` 1: other" in text
