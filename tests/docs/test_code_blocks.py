"""Every code block and every command of every page runs, or agrees with the program.

- Notebook cells run in `make docs`.
- Blocks in `_RUN` run here, on a small lot and with few chips; those of README in another test.
- All others, and the commands within the text, cannot run in a test; `_WHY_NOT` says why. A shell
  expands them, and every command that results is compared with the program: subcommand, options,
  number and type of the values, scripts, targets of make.
- Files, options, Python names and callables that the text names exist.
"""

import ast
import contextlib
import gzip
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple
from unittest.mock import MagicMock

import click
import numpy as np
import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt

from rramfit.errors import InputError, OverwriteError
from rramfit.measurement import synthesize, write_measurement
from rramfit.measurement.examples import sample_card
from rramfit_cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
_SOURCES = ("*.md", "docs/**/*.md", "data/**/*.md", "fits/*.md", "reports/*.md")
_HISTORY = "CHANGELOG.md"  # its commands were those of their time

_README = "README.md"  # tests/test_readme.py runs its commands
_RUN = {
    ("docs/how-to/clusters.md", "rramfit characterize lot/*.h5 -o out --jobs"): "a small lot",
    ("docs/how-to/clusters.md", "rramfit characterize lot/*.h5 -o out --yield"): "a small lot",
    ("docs/how-to/clusters.md", "#!/bin/bash"): "a SLURM array",
    ("docs/how-to/clusters.md", "rramfit lot merge"): "after a SLURM array",
    ("docs/how-to/clusters.md", "srun rramfit evaluate"): "chips in a SLURM array",
    ("docs/how-to/your-own-network.md", "E="): "one epoch of each stage",
    ("docs/how-to/clusters.md", "import subprocess"): "with a cluster of another name",
    ("data/layouts/README.md", "rramfit measurement guess-layout"): "with a log",
    ("data/layouts/README.md", "rramfit measurement convert"): "with a log",
    ("data/layouts/README.md", "rramfit measurement import"): "with a log",
    ("fits/README.md", 'python -c "import rramfit'): "as it is",
    ("fits/README.md", 'python -c "\nimport torch'): "as it is",
}
_WHY_NOT = {
    ("ARCHITECTURE.md", "rramfit/"): "a list of folders",
    ("CONTRIBUTING.md", "make test"): "makes an environment, and runs this test",
    ("CONTRIBUTING.md", "make lint"): "hours in all",
    ("docs/how-to/add-a-fit.md", "rramfit card schema"): "tests/card/test_document.py compares",
    ("data/README.md", "rramfit measurement synthesize"): "tests/measurement/virtual does it",
    ("data/layouts/README.md", "[source]"): "a layout of a file that is not there; read as TOML",
    ("fits/README.md", "python tests/studies"): "an hour, and third-party data",
    ("docs/how-to/add-an-exporter.md", "[project.entry-points"): "installs a package",
    ("docs/how-to/other-programs.md", ""): "installs them; tests/export runs what it can install",
    ("docs/how-to/clusters.md", "dask scheduler"): "several machines; tests/workers has one",
    ("docs/how-to/clusters.md", "from pathlib"): "Snakemake is not a dependency",
    ("reports/", ""): "hours",
}
_PROGRAMS = ("rramfit", "make", "python", "pip", "dask", "srun", "sbatch", "find", "torchrun")
_PROGRAMS += ("pre-commit", "sha256sum")
_PLACEHOLDER = re.compile(r"[A-Z_]+…?|…")


class Block(NamedTuple):
    """A code block, or a command within the text."""

    page: str
    language: str
    text: str

    def key(self, table):
        """Return the key of a table that this block belongs to."""
        found = [k for k in table if self.page.startswith(k[0]) and self.text.startswith(k[1])]
        return found[0] if found else None


def _tokens():
    for page in sorted({p for pattern in _SOURCES for p in ROOT.glob(pattern)}):
        name = page.relative_to(ROOT).as_posix()
        if name != _HISTORY:
            parsed = MarkdownIt("commonmark").enable("table").parse(page.read_text("utf-8"))
            yield from ((name, token) for token in parsed)


def _blocks():
    for page, token in _tokens():
        if token.type in ("fence", "code_block") and not token.info.startswith("{"):
            yield Block(page, token.info, token.content)


def _inline():
    for page, token in _tokens():
        for child in token.children or ():
            if child.type == "code_inline":
                yield Block(page, "", child.content)


BLOCKS, INLINE = list(_blocks()), list(_inline())


def _is_shell(block):
    starts = (*(f"{p} " for p in _PROGRAMS), "#!/bin/bash", "E=")
    return block.language in ("", "bash", "console") and block.text.startswith(starts)


def _block(start):
    (found,) = (b for b in BLOCKS if (b.page, b.text[: len(start[1])]) == start)
    return found


def test_every_block_runs_or_has_a_reason():
    unknown = [
        b for b in BLOCKS if b.page != _README and b.key(_RUN) is None and b.key(_WHY_NOT) is None
    ]
    assert unknown == []
    for table in (_RUN, _WHY_NOT):
        assert [key for key in table if not any(b.key([key]) for b in BLOCKS)] == []


@pytest.fixture(scope="module")
def recorders(tmp_path_factory):
    """A folder of programs that only record how they are called; `srun` also calls."""
    folder = tmp_path_factory.mktemp("recorders")
    for program in _PROGRAMS:
        path = folder / program
        path.write_text(
            f"#!/bin/bash\nprintf '%s\\x1f' {program} \"$@\" >> $CALLS; printf '\\x1e' >> $CALLS\n"
            + ('"$@"\n' if program == "srun" else "")
        )
        path.chmod(0o755)
    return folder


@pytest.fixture
def expand(recorders, tmp_path):
    """Return a function that lists the commands of a script as a shell calls them."""

    def run(script, **variables):
        calls = recorders / "calls"
        calls.unlink(missing_ok=True)
        done = subprocess.run(
            ["/bin/bash", "-c", re.sub(r"> [\w/]+/", "> ", script)],  # its folders are not here
            env={"PATH": str(recorders), "CALLS": str(calls), **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == "", script
        return [call.split("\x1f")[:-1] for call in calls.read_text().split("\x1e")[:-1]]

    return run


def _check_rramfit(words):
    command, args = cli, words
    context = click.Context(cli)
    while isinstance(command, click.Group) and args and not args[0].startswith("-"):
        name, command, args = command.resolve_command(context, args)
        context = click.Context(command, context, name)
    if args[:1] == ["merge"] and hasattr(command, "merge"):
        command, args = command.merge, args[1:]
    if args == ["--help"]:
        return
    given, rest, _ = command.make_parser(context).parse_args(list(args))
    assert rest == []
    for parameter in command.params:
        value = given.get(parameter.name)
        if isinstance(value, str) and not _PLACEHOLDER.fullmatch(value):
            with contextlib.suppress(InputError, OverwriteError):  # its files are not here
                parameter.type_cast_value(context, value)


def _check_python(words):
    if words[0] == "-c":
        ast.parse(words[1])
        return
    paths = [w for w in words if w.startswith("tests/")]
    assert paths
    assert all((ROOT / path).exists() for path in paths), words
    if words[0] != "-m":
        script = ROOT / paths[0]
        sources = [script] if script.is_file() else script.glob("*.py")
        text = "".join(s.read_text("utf-8") for s in sources)
        assert [w for w in words if w.startswith("--") and f'"{w}"' not in text] == []


def _check_make(words):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(words) <= targets


_CHECKS = {"rramfit": _check_rramfit, "python": _check_python, "make": _check_make}


def _check_calls(calls):
    for program, *words in calls:
        if "rramfit" in words and program in ("torchrun", "srun", "sbatch"):
            _check_rramfit(words[words.index("rramfit") + 1 :])
        elif check := _CHECKS.get(program):
            check(words)


def test_commands_of_blocks_exist(expand):
    scripts = [b.text for b in BLOCKS if _is_shell(b)]
    assert len(scripts) > 20
    elsewhere = (". ", ".ci/", "(")  # in a folder that is not here
    for script in scripts:
        subprocess.run(["/bin/bash", "-n", "-c", script], check=True)
        here = [line for line in script.splitlines() if not line.startswith(elsewhere)]
        _check_calls(expand("\n".join(here)))


def test_commands_in_the_text_exist(expand):
    commands = [b for b in INLINE if _is_shell(b) and " " in b.text]
    assert len(commands) > 50
    for text in {b.text for b in commands}:
        _check_calls(expand(text))


def test_other_languages_are_valid():
    for block in BLOCKS:
        if block.language == "python" and "rule " not in block.text:
            ast.parse(block.text)
        elif block.language == "toml" or block.text.startswith("["):
            tomllib.loads(block.text)


def test_the_shell_commands_of_the_workflow_exist(expand):
    text = _block(("docs/how-to/clusters.md", "from pathlib")).text
    scripts = re.findall(r'shell(?:\(|: )"([^"]+)"', text)
    assert len(scripts) == 2
    for script in scripts:
        words = re.sub(r"\{[\w.]+\}", "x", script).split(" || ")
        _check_calls(expand(words[0]))
        assert {w.strip() for w in words[1:]} <= {"[ $? = 3 ]", "[ $? = 4 ]"}


def _options(command, context):
    yield from (o for p in command.params for o in (*p.opts, *p.secondary_opts))
    for child in getattr(command, "list_commands", lambda _: ())(context):
        yield from _options(command.get_command(context, child), context)
    if hasattr(command, "merge"):
        yield from _options(command.merge, context)


def test_options_in_the_text_exist():
    known = {*_options(cli, click.Context(cli)), "--help"}
    reports = ("reports/",)  # also options of their scripts
    named = {b.text.split()[0] for b in INLINE if b.text.startswith("--") and b.page not in reports}
    assert len(named) > 30
    assert {n for n in named if n not in known} == set()


def test_files_in_the_text_exist():
    texts = {b.text for b in INLINE if "NAME" not in b.text}
    places = r"(rramfit|cli|tests|docs|data|fits|reports|\.ci)/[\w./*-]*"
    named = {t for t in texts if re.fullmatch(places, t)}
    assert len(named) > 30
    assert {n for n in named if not list(ROOT.glob(n.rstrip("/")))} == set()
    inside = {t for t in texts if re.fullmatch(r"[\w/]+/[\w*]+\.py", t)} - named
    found = [str(p) for p in [*ROOT.glob("rramfit/**/*.py"), *ROOT.glob("cli/**/*.py")]]
    assert len(inside) > 20
    assert {n for n in inside if not any(p.endswith(f"/{n}") for p in found)} == set()


def test_python_names_in_the_text_exist():
    starts = (re.match(r"(rramfit\.(?!errors$)[\w.]*\w)(?!\.h5)", b.text) for b in INLINE)
    names = {m[1] for m in starts if m} - {"rramfit.exporters"}
    assert len(names) > 4
    for name in names:
        pkgutil.resolve_name(name)
    for block in BLOCKS:
        for attribute in re.findall(r"\$E:(\w+)", block.text):
            module = re.search(r"^E=(\S+)", block.text)[1]
            pkgutil.resolve_name(f"{module}:{attribute}")


@pytest.fixture
def lot(tmp_path, monkeypatch):
    """A folder with a lot of two small chips, a list of its files, and a log."""
    card = sample_card()
    (tmp_path / "lot").mkdir()
    for n in range(2):
        chip = synthesize(card, rows=20, cols=20, sweeps=4, seed=n)
        write_measurement(chip, tmp_path / f"lot/chip{n}.h5")
    (tmp_path / "files.txt").write_text("".join(f"lot/chip{n}.h5\n" for n in range(2)))
    read = chip.program.read_all()
    rows = ["sweep,row,col,level,G_uS,pass,read voltage (V)"]
    for at in np.ndindex(*read.level.shape):
        g = 1e6 * read.conductance[at]
        rows.append(",".join(map(str, (*at, read.level[at], g, int(read.accepted[at]), 0.2))))
    with gzip.open(tmp_path / "LOG.csv.gz", "wt") as file:
        file.write("\n".join(rows))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(lot, expand):
    """Return a function that runs the commands of a script and returns the last output."""

    def commands(script, codes=(0,), **variables):
        calls = [c for c in expand(script, **variables) if c[0] != "srun"]
        done = [CliRunner(env=variables).invoke(cli, words) for _, *words in calls]
        assert [d.exit_code for d in done if d.exit_code not in codes] == [], done
        return done[-1].stdout

    return commands


CLUSTERS = "docs/how-to/clusters.md"
TASKS = [
    {f"SLURM_ARRAY_TASK_{k}": v for k, v in {"ID": n, "MIN": "1", "MAX": "2", "COUNT": "2"}.items()}
    for n in ("1", "2")
]
BAD_OR_GOOD = (0, 4)  # a small chip may be rejected


@pytest.mark.parametrize("option", ["--jobs", "--yield-at"])
def test_a_lot_on_one_machine(lot, run, option):
    start = f"rramfit characterize lot/*.h5 -o out {option}"
    first = _block((CLUSTERS, start)).text.splitlines()[0]
    run(first.replace("--jobs 8", "--jobs 1") + " --no-report", BAD_OR_GOOD)
    assert len(list((lot / "out").glob("*.card.json"))) == 2


def test_a_lot_in_a_slurm_array(lot, run):
    script = _block((CLUSTERS, "#!/bin/bash")).text.replace("--jobs 2", "--jobs 1 --no-report")
    for task in TASKS:
        run(script, BAD_OR_GOOD, **task)
    run(_block((CLUSTERS, "rramfit lot merge")).text, BAD_OR_GOOD)
    assert (lot / "out/lot.csv").read_text().count("\n") == 3


def test_chips_of_a_network_in_a_slurm_array(lot, run):
    evaluate, merge = _block((CLUSTERS, "srun rramfit evaluate")).text.splitlines()
    few = "mlp --chips 2 --images 60"
    evaluate = evaluate.replace("vgg5 --data cifar-10 --checkpoint net.pt --chips 1000", few)
    for task in TASKS:
        results = run(evaluate, **task)
        (lot / f"chips.{task['SLURM_ARRAY_TASK_ID']}.json").write_text(results)
    assert "2 chips" in run(merge)


def test_the_worked_examples(lot, run):
    stage = "epochs = 1\nbatch = 512\n"
    aware = f"[aware]\n{stage}bn_recalibration_images = 0\n"
    (lot / "short.toml").write_text(f'name = "short"\nlike = "digits"\n[plain]\n{stage}{aware}')
    script = _block(("docs/how-to/your-own-network.md", "E=")).text
    run(re.sub(r"(rramfit train .*)", r"\1 --recipe short.toml --chips 0", script))
    assert (lot / "vit.pt").exists()
    assert (lot / "lm.pt").exists()


def test_dask_jobqueue(monkeypatch):
    queue, asked = MagicMock(), []
    cluster = queue.SLURMCluster.return_value.__enter__.return_value
    cluster.scheduler_address = "tcp://10.0.0.1:8786"
    monkeypatch.setitem(sys.modules, "dask_jobqueue", queue)
    monkeypatch.setattr(subprocess, "run", lambda words, **_: asked.append(words))
    exec(_block((CLUSTERS, "import subprocess")).text, {})
    _check_calls(asked)
    assert len(asked) == 1
    assert cluster.scale.called


def test_the_readme_of_the_layouts(lot, run):
    page = "data/layouts/README.md"
    for command in ("guess-layout", "convert", "import"):
        script = _block((page, f"rramfit measurement {command}")).text.strip()
        run(script + (" --yes --force" if command == "import" else ""))
    assert (lot / "chip.h5").exists()


@pytest.mark.parametrize("start", ['python -c "import rramfit', 'python -c "\nimport torch'])
def test_the_numbers_of_the_cards(repo, expand, monkeypatch, capsys, start):
    monkeypatch.chdir(repo)
    ((_, _, code),) = expand(_block(("fits/README.md", start)).text)
    exec(code, {})
    share = float(re.search(r"0\.\d+", capsys.readouterr().out)[0])
    page = (repo / "fits/README.md").read_text("utf-8")
    assert f"{share:.3f}" in page or f"{100 * share:.1f} %" in page
