"""Lists of tasks in local processes: every task has a result or says how it was lost."""

import psutil
import pytest

from rramfit.errors import RramfitError
from rramfit.workers import Lost, Shard, run_tasks, shard_of_environment


def test_every_task_is_answered_for_any_number_of_processes(tasks):
    given = [(("ok", 1),), (("fail", 2),), (("end", 3),), (("ok", 4),), (("ok", 5),)]
    for jobs in (1, 3):
        found = dict(run_tasks(tasks.step, given, jobs=jobs))
        assert [found[i] for i in (0, 3, 4)] == [2, 8, 10]
        assert (found[1].how, found[2].how) == ("raised", "died")


def test_no_task_is_no_process():
    assert list(run_tasks(print, [], jobs=4)) == []


def test_stopping_in_between_ends_the_processes(tasks):
    before = set(psutil.Process().children())
    found = run_tasks(tasks.step, [(("ok", i), 0.0 if i < 2 else 600.0) for i in range(6)], jobs=2)
    next(found)
    assert set(psutil.Process().children()) - before
    found.close()
    assert not set(psutil.Process().children()) - before


def test_a_limit_for_each_task(tasks):
    limits = {0: 0.5, 1: None}
    found = dict(run_tasks(tasks.sleep, [(600,), (0.01,)], limit=lambda at: limits[at]))
    assert isinstance(found[0], Lost)
    assert found[0].how == "too long"
    assert found[1] == 0.01


@pytest.mark.parametrize("first", [0, 1, 10])
@pytest.mark.parametrize("step", [1, 7])
def test_a_slurm_array_gives_every_shard_once(first, step):
    ids = range(first, first + 4 * step, step)
    bounds = {"COUNT": 4, "MIN": ids[0], "MAX": ids[-1], "STEP": step}
    found = [
        shard_of_environment(
            {f"SLURM_ARRAY_TASK_{k}": str(v) for k, v in {**bounds, "ID": at}.items()}
        )
        for at in ids
    ]
    assert found == [Shard(i, 4) for i in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    "given",
    [
        {"ID": "7", "COUNT": "3", "MIN": "1", "MAX": "7", "STEP": "1"},  # --array=1,3,7
        {"ID": "4", "COUNT": "4"},
        {"ID": "x", "COUNT": "4"},
    ],
)
def test_an_array_that_gives_no_shard_is_an_error(given):
    with pytest.raises(RramfitError, match="--shard i/n"):
        shard_of_environment({f"SLURM_ARRAY_TASK_{k}": v for k, v in given.items()})
    assert shard_of_environment({}) is None


@pytest.mark.parametrize("of", [1, 2, 7, 12])
def test_shards_are_a_partition(of):
    shards = [Shard.parse(f"{i}/{of}") for i in range(1, of + 1)]
    assert sorted(k for s in shards for k in s.in_turn(10)) == list(range(10))
    assert [k for s in shards for k in s.block(10)] == list(range(10))
