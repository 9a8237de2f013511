"""The commands of README.md, in their order, on a small chip and with few chips and images."""

import re
import shlex

import numpy as np
import pytest
from click.testing import CliRunner

from rramfit.measurement import synthesize, write_measurement
from rramfit.measurement.examples import sample_card
from rramfit_cli.main import cli

FEW = {"evaluate": ["--chips", "3", "--images", "60"], "ablate": ["--chips", "2", "--images", "60"]}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a log, another chip, and the cards of two more."""
    card = sample_card()
    chips = [synthesize(card, rows=24, cols=24, sweeps=6, seed=n) for n in range(4)]
    read = chips[0].program.read_all()
    rows = ["sweep,row,col,level,G_uS,pass"]
    for at in np.ndindex(*read.level.shape):
        g = 1e6 * read.conductance[at]
        rows.append(",".join(map(str, (*at, read.level[at], g, int(read.accepted[at])))))
    (tmp_path / "log.csv").write_text("\n".join(rows))
    for n, name in enumerate(("other", "second", "third"), start=1):
        write_measurement(chips[n], tmp_path / f"{name}.h5")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["characterize", "second.h5", "third.h5", "-o", "out"])
    assert done.exit_code in (0, 4), done.output
    return tmp_path


def test_the_commands_of_the_readme_run(repo, folder):
    text = (repo / "README.md").read_text(encoding="utf-8")
    commands = [
        shlex.split(c, comments=True) for c in re.findall(r"^    (rramfit .+)$", text, re.M)
    ]
    assert len(commands) > 8
    for _, *words in commands:
        if words[0] == "demo":
            continue  # tests/cli/test_first_steps.py
        if words[:2] == ["measurement", "import"]:
            words.append("--yes")
        cards = sorted(str(p) for p in folder.glob("out/*.card.json"))
        words = [w for word in words for w in (cards if "*" in word else [word])]
        done = CliRunner().invoke(cli, [*words, *FEW.get(words[0], [])])
        assert done.exit_code in (0, 4), (words, done.output)  # 4: a small chip may be rejected


def test_the_python_of_the_readme_runs(repo, folder):
    import rramfit

    text = (repo / "README.md").read_text(encoding="utf-8")
    sentence = re.search(r"In Python:.*?\n\n", text, re.DOTALL)[0]
    names = {"rramfit": rramfit}
    for code in re.findall(r"`([^`]+)`", sentence):
        exec(code.replace('"chip.h5"', '"other.h5"'), names)
    assert (folder / "chip.html").exists()
