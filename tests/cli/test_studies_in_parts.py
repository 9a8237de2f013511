"""`rramfit evaluate` and `ablate` in parts: shards, processes, interrupts, and stopping early."""

import json

import pytest

from rramfit_cli import study_runs

FEW = ("--images", 60, "--seed", 3, "--off", "wires")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The evaluation of seven chips in one process."""
    from click.testing import CliRunner

    from rramfit_cli.main import cli

    done = CliRunner().invoke(cli, ["evaluate", "--chips", "7", *map(str, FEW), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def merged(run, command, *files):
    done = run(command, "merge", *files, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_two_processes_give_the_numbers_of_one(run, whole):
    done = run("evaluate", "--chips", 7, *FEW, "--json", "--jobs", 2)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == whole


def test_shards_merge_to_the_whole(run, whole, tmp_path):
    for i in (3, 1, 2):
        done = run("evaluate", "--chips", 7, *FEW, "--json", "--shard", f"{i}/3")
        assert done.exit_code == 0, done.output
        (tmp_path / f"{i}.json").write_text(done.stdout)
    files = [tmp_path / f"{i}.json" for i in (2, 3, 1)]
    assert merged(run, "evaluate", *files) == whole
    part = run("evaluate", "merge", *files[:2], "--json")
    assert part.exit_code == 3
    assert "no chips 0 to 1" in part.stderr
    twice = run("evaluate", "merge", *files, files[0])
    assert twice.exit_code == 3
    assert "given twice" in twice.stderr


def test_first_continues_with_other_chips(run, whole, tmp_path):
    for name, which in {"a": (), "b": ("--first", 4)}.items():
        chips = 3 if which else 4
        done = run("evaluate", "--chips", chips, *which, *FEW, "--save", tmp_path / f"{name}.json")
        assert done.exit_code == 0, done.output
    assert merged(run, "evaluate", tmp_path / "a.json", tmp_path / "b.json") == whole


def test_draws_of_the_card_in_shards(run, tmp_path, repo):
    common = ("evaluate", "--card", repo / "fits/jetcas-reference-1.0.0.card.json", "--chips", 6)
    common += (*FEW, "--card-uncertainty", 3, "--json")
    one = json.loads(run(*common).stdout)
    for i in (1, 2):
        done = run(*common, "--shard", f"{i}/2")
        assert done.exit_code == 0, done.output
        (tmp_path / f"{i}.json").write_text(done.stdout)
    assert merged(run, "evaluate", tmp_path / "1.json", tmp_path / "2.json") == one


def test_results_of_other_studies_are_not_merged(run, whole, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(whole))
    other = run(
        "evaluate",
        "--chips",
        2,
        "--images",
        60,
        "--seed",
        4,
        "--first",
        7,
        "--off",
        "wires",
        "--json",
    )
    (tmp_path / "b.json").write_text(other.stdout)
    done = run("evaluate", "merge", tmp_path / "a.json", tmp_path / "b.json")
    assert done.exit_code == 3
    assert "b.json" in done.stderr
    assert "another network, card" in done.stderr


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.pop("key"),
        lambda record: record["cases"]["all"]["parts"][0]["hits"].__setitem__(0, 61),
        lambda record: record["cases"]["all"]["parts"][0]["hits"].__setitem__(0, -1),
        lambda record: record["cases"]["all"]["parts"][0].__setitem__("by_image", "AAAA"),
        lambda record: record["cases"]["all"].__setitem__("chips", 3),
        lambda record: record.__setitem__("cases", []),
        lambda record: record.__setitem__("rramfit_study", "ablate"),
    ],
    ids=["key", "too many hits", "negative hits", "images", "chips", "cases", "other study"],
)
def test_a_damaged_record_is_rejected(run, whole, tmp_path, change):
    record = json.loads(json.dumps(whole["record"]))
    change(record)
    (tmp_path / "a.json").write_text(json.dumps(record))
    done = run("evaluate", "merge", tmp_path / "a.json")
    assert done.exit_code == 3, done.output
    assert "a.json" in done.stderr
    assert "Traceback" not in done.output


def test_an_interrupt_keeps_the_chips(run, whole, tmp_path, monkeypatch):
    save, real, count = tmp_path / "save.json", study_runs.chips_of, []

    def until_the_fourth(*arguments):
        count.append(1)
        if len(count) == 4:
            raise KeyboardInterrupt
        return real(*arguments)

    command = ("evaluate", "--chips", 7, *FEW, "--save", save, "--resume", "--json")
    monkeypatch.setattr(study_runs, "chips_of", until_the_fourth)
    done = run(*command)
    assert done.exit_code == 130
    assert f"3 of 7 chips are done. They are in {save}: add --resume" in done.stderr
    done = run(*command)
    assert done.exit_code == 0, done.output
    assert len(count) == 4 + 4
    assert json.loads(done.stdout) == whole
    other = run(
        "evaluate", "--chips", 7, "--images", 50, "--off", "wires", "--save", save, "--resume"
    )
    assert other.exit_code == 3
    assert str(save) in other.stderr


def test_until_stops_at_the_same_chip_for_any_number_of_processes(run):
    common = ("evaluate", "--chips", 60, *FEW, "--until", 6, "--json")
    one = json.loads(run(*common).stdout)
    low, high = one["mean"]["ci95"]
    assert 20 <= one["chips"] < 60
    assert 100 * (high - low) <= 6
    assert json.loads(run(*common, "--jobs", 2).stdout) == one


def test_an_ablation_in_shards(run, tmp_path):
    others = ("read", "retention", "nonlinearity", "field", "trend", "c2c", "dac", "adc", "readout")
    off = [x for f in others for x in ("--off", f)]
    common = ("ablate", "--chips", 2, *FEW, *off, "--json")
    one = json.loads(run(*common).stdout)
    assert json.loads(run(*common, "--jobs", 2).stdout) == one
    for i in (1, 2):
        (tmp_path / f"{i}.json").write_text(run(*common, "--shard", f"{i}/2").stdout)
    assert merged(run, "ablate", tmp_path / "2.json", tmp_path / "1.json") == one
    assert run("evaluate", "merge", tmp_path / "1.json").exit_code == 3


def test_a_task_of_a_slurm_array_is_a_shard(run, whole, tmp_path, monkeypatch):
    for key, value in {"COUNT": 2, "MIN": 1, "MAX": 2, "STEP": 1}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{key}", str(value))
    for i in (1, 2):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", str(i))
        done = run("evaluate", "--chips", 7, *FEW, "--json")
        assert f"Shard {i}/2 of 7 chips" in done.stderr
        (tmp_path / f"{i}.json").write_text(done.stdout)
    assert merged(run, "evaluate", tmp_path / "1.json", tmp_path / "2.json") == whole


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--shard", "0/2"), "0/2"),
        (("--shard", "3/2"), "3/2"),
        (("--shard", "1"), "1/8"),
        (("--shard", "1/2", "--first", 3), "--first"),
        (("--until", 0.1, "--first", 3), "--until"),
        (("--until", "nan"), "finite"),
        (("--resume",), "--save"),
        (("--shard", "1/9", "--chips", 4), "no chip"),
        (("--first", 2, "--card-uncertainty", 2), "--shard"),
        (("--scheduler", "127.0.0.1:9"), "127.0.0.1:9"),
    ],
)
def test_usage_errors(run, options, named, monkeypatch):
    monkeypatch.setattr("rramfit.workers.cluster._CONNECT", 0.2)
    done = run("evaluate", "--chips", 4, *FEW, *options)
    assert done.exit_code == 2, done.output
    assert named in done.stderr
