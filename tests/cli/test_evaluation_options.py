"""`rramfit evaluate`, `ablate` and `train` on data of yours, by metrics, and with committees."""

import json

import numpy as np
import pytest
import torch

from rramfit.mapping.study.networks import make_network

FEW = ("--tile", "64x32", "--off", "wires", "--off", "adc")


@pytest.fixture
def regression(tmp_path):
    """Two targets that are linear in five numbers, and a plain file of them."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (400, 5)).astype(np.float32)
    np.savez(tmp_path / "lines.npz", images=x, labels=x @ rng.normal(size=(5, 2)))
    return tmp_path / "lines.npz"


def test_a_regression_is_evaluated_by_its_error(run, regression, tmp_path):
    page = tmp_path / "page.html"
    arguments = ("evaluate", "--data", regression, "--chips", 4, *FEW)
    done = run(*arguments, "--json", "-o", page)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["metric"] == {"name": "rmse", "better": "lower", "share": False, "value": "root"}
    assert found["digital"] < found["mean"]["value"] < 1.0
    assert found["yield"]["at"] == pytest.approx(1.05 * found["digital"])
    assert "Rmse of each chip" in page.read_text()
    net = tmp_path / "net.pt"
    torch.save(make_network("mlp", (5,), 2).state_dict(), net)
    arguments = (*arguments, "--checkpoint", net)
    shown = run(*arguments).stdout
    assert "metric            rmse" in shown
    assert "95th percentile" in shown
    other = json.loads(run(*arguments, "--metric", "mae", "--yield-at", 9, "--json").stdout)
    assert other["metric"]["name"] == "mae"
    assert other["yield"]["value"] == 1
    off = [x for f in ("readout", "dac", "d2d", "c2c") for x in ("--off", f)]
    ablated = json.loads(run("ablate", *arguments[1:], *off, "--json").stdout)
    assert ablated["all"]["metric"]["name"] == "rmse"
    trained = run(
        "train",
        *arguments[1:3],
        *FEW,
        "--chips",
        2,
        "-o",
        tmp_path / "n.pt",
        "--recipe",
        short(tmp_path),
        "--json",
    )
    assert trained.exit_code == 0, trained.output
    assert json.loads(trained.stdout)["trained"]["chips"]["metric"]["name"] == "rmse"


def short(folder):
    path = folder / "short.toml"
    stage = 'epochs = 2\noptimizer = "adamw"\nrate = 1e-3\n'
    path.write_text(f'name = "short"\n[plain]\n{stage}[aware]\n{stage}[retrain]\n{stage}')
    return path


def test_parts_by_a_metric_merge_to_the_whole(run, regression, tmp_path):
    net = tmp_path / "net.pt"
    torch.save(make_network("mlp", (5,), 2).state_dict(), net)
    arguments = (
        "evaluate",
        "--data",
        regression,
        "--checkpoint",
        net,
        "--chips",
        4,
        *FEW,
        "--json",
    )
    whole = json.loads(run(*arguments).stdout)
    done = run(*arguments, "--mirror")
    assert done.exit_code == 2
    assert "--mirror needs images" in done.output
    for i in (1, 2):
        (tmp_path / f"{i}.json").write_text(run(*arguments, "--shard", f"{i}/2").stdout)
    merged = run("evaluate", "merge", tmp_path / "1.json", tmp_path / "2.json", "--json")
    assert merged.exit_code == 0, merged.output
    assert json.loads(merged.stdout)["values"] == whole["values"]


def test_committees_and_mirrors_are_reported_apart(run, tmp_path):
    page, net = tmp_path / "page.html", tmp_path / "net.pt"
    torch.save(make_network("mlp", (1, 8, 8), 10, seed=3).state_dict(), net)
    common = ("evaluate", "--checkpoint", net, "--chips", 5, "--images", 60, *FEW)
    plain = json.loads(run(*common, "--json").stdout)
    together = (*common, "--committee", 2, "--committee", 3, "--mirror")
    done = run(*together, "--json", "-o", page)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert plain["together"] == {}
    assert found["accuracies"] == plain["accuracies"]
    assert found["mean_total"] == plain["mean_total"]
    names = {name: x["chips"] for name, x in found["together"].items()}
    assert names == {
        "committees of 2 chips": 2,
        "committees of 3 chips": 1,
        "mirrored images": 5,
    }
    assert found["together"]["mirrored images"]["accuracies"] != plain["accuracies"]
    assert "Several chips or images together" in page.read_text()
    assert "apart: committees of 2 chips, mean" in run(*together).stdout
    for i in (1, 2):
        (tmp_path / f"{i}.json").write_text(run(*together, "--json", "--shard", f"{i}/2").stdout)
    merged = run("evaluate", "merge", tmp_path / "1.json", tmp_path / "2.json", "--json")
    assert merged.exit_code == 0, merged.output
    assert json.loads(merged.stdout)["together"] == found["together"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--committee", "2", "--chips", "1"), 2, "needs --chips 2 or more"),
        (("--mirror", "--card-uncertainty", "2", "--chips", "4"), 2, "remove --committee"),
        (("--yield-at", "1.5", "--chips", "1"), 2, "not a share"),
        (("--metric", "bleu"), 3, "unknown metric 'bleu'"),
        (("--metric", "perplexity", "--card-uncertainty", "2", "--chips", "4"), 3, "not of perpl"),
        (("--data", "no_such_module:data"), 3, "ModuleNotFoundError"),
        (("--device", "tpu"), 2, "'cpu', 'cuda', 'auto'"),
    ],
)
def test_options_that_do_not_fit_are_refused(run, tmp_path, arguments, code, message):
    torch.save(make_network("mlp", (1, 8, 8), 10).state_dict(), tmp_path / "net.pt")
    done = run("evaluate", "--checkpoint", tmp_path / "net.pt", *arguments)
    assert done.exit_code == code, done.output
    assert message in done.output


def test_batch_statistics_are_advised_and_compared_alike(run, tmp_path):
    net = make_network("resnet8", (1, 8, 8), 10)
    with torch.no_grad():
        net[1].running_mean += 2.0
    torch.save(net.state_dict(), tmp_path / "net.pt")
    x = np.random.default_rng(0).uniform(0, 1, (150, 8, 8))
    np.savez(tmp_path / "few.npz", images=x, labels=np.arange(150) % 10)
    common = ("resnet8", "--data", tmp_path / "few.npz", "--images", 20, *FEW)
    common = (*common, "--checkpoint", tmp_path / "net.pt")
    done = run("evaluate", *common, "--chips", 1, "--json")
    assert "Add --bn-recalibration 1024" in done.stderr
    (warning,) = json.loads(done.stdout)["conditions"]["warnings"]
    assert "BatchNorm statistics on the chip differ" in warning
    quiet = run("evaluate", *common, "--chips", 1, "--bn-recalibration", 64, "--json")
    assert json.loads(quiet.stdout)["conditions"]["warnings"] == []
    train = ("train", *common, "--chips", 1, "--recipe", short(tmp_path), "--json")
    done = run(*train, "-o", tmp_path / "trained.pt")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert {"float32", "recalibrated", "trained"} <= set(found)
    assert found["recalibrated"]["chips"]["chips"] == 1
    assert "float32: BatchNorm statistics on the chip differ" in done.stderr
