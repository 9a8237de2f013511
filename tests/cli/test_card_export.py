"""`rramfit card export`, `from`, `cite`, `migrate` and `publish`."""

import json
import re
import shlex

import pytest

from rramfit.card import load_card, save_card
from rramfit.export import exporters, find_exporter
from rramfit.measurement.virtual.cards import random_card


@pytest.fixture
def path(tmp_path):
    save_card(random_card(1, levels=4), tmp_path / "a.card.json")
    return tmp_path / "a.card.json"


def test_targets_are_listed(run):
    for arguments in (("--list",), ("--to", "list")):
        shown = run("card", "export", *arguments)
        assert shown.exit_code == 0
        for name in ("table", "ngspice", "verilog-a", "neurosim", "npz", "scipy"):
            assert f"\n{name} " in shown.stdout
    one = run("card", "export", "--list", "--to", "spice").stdout
    assert "also spice" in one
    assert "chips" in one


def test_a_card_is_exported_with_options(path, run, tmp_path):
    out = tmp_path / "out"
    arguments = ("card", "export", path, "--to", "csv", "-o", out)
    done = run(*arguments)
    assert done.exit_code == 0, done.output
    assert (out / "README.md").is_file()
    assert run(*arguments).exit_code == 0  # over its own files
    (out / "levels.csv").write_text("of the user")
    kept = run(*arguments)
    assert kept.exit_code == 3
    assert "levels.csv" in kept.stderr
    assert (out / "levels.csv").read_text() == "of the user"
    assert run(*arguments, "--force").exit_code == 0
    drawn = run("card", "export", path, "--to", "npz", "-o", tmp_path / "n", "--option", "rows=4")
    assert drawn.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--to", "ngspic"), "Did you mean 'ngspice'"),
        (("--to", "npz", "--option", "chips=0"), "at least 1"),
        (("--to", "npz", "--option", "chip=1"), "no option 'chip'"),
        (("--to", "npz", "--option", "chips"), "NAME=VALUE"),
        (("--option", "chips=1"), "table has no options"),
    ],
)
def test_wrong_options_are_usage_errors(arguments, said, path, run, tmp_path):
    done = run("card", "export", path, "-o", tmp_path / "out", *arguments)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_missing_arguments_and_unwritable_folders_are_usage_errors(path, run, tmp_path):
    assert run("card", "export", path).exit_code == 2
    assert run("card", "export", "-o", tmp_path / "a.csv").exit_code == 2
    assert run("card", "export", path, "--to", "csv", "-o", path).exit_code == 2


def test_what_a_target_cannot_take_is_rejected(run, tmp_path):
    save_card(random_card(1, levels=3), tmp_path / "b.card.json")
    arguments = ("card", "export", tmp_path / "b.card.json", "--to", "neurosim", "-o")
    done = run(*arguments, tmp_path / "out")
    assert done.exit_code == 3
    assert "counts=take" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_table_of_neurosim_becomes_a_card(path, run, tmp_path):
    run("card", "export", path, "--to", "neurosim", "-o", tmp_path / "n")
    arguments = ("card", "from", tmp_path / "n/mem_states.csv", "--kind", "neurosim", "-o")
    done = run(*arguments, tmp_path / "s.card.json", "--name", "assumed")
    assert done.exit_code == 0, done.output
    card = load_card(tmp_path / "s.card.json")
    assert card.name == "assumed"
    assert run(*arguments, tmp_path / "s.card.json").exit_code == 0  # over its own card
    assert run(*arguments, path).exit_code == 3
    compared = run("card", "compare", path, tmp_path / "s.card.json", "--json")
    assert compared.exit_code in (0, 4)
    assert "levels[0].mean" in json.loads(compared.stdout)["parameters"]
    wrong = run("card", "from", path, "--kind", "spectre", "-o", tmp_path / "x.card.json")
    assert wrong.exit_code == 2
    assert "neurosim" in wrong.stderr


def test_cite_prints_and_sets_fields(path, run, tmp_path):
    assert "Model card" in run("card", "cite", path).stdout
    assert run("card", "cite", path, "--bibtex").stdout.startswith("@misc{")
    out = tmp_path / "cited.card.json"
    set_fields = ("--author", "A. B.", "--license", "CC-BY-4.0", "--doi", "10.5281/z.1")
    done = run("card", "cite", path, *set_fields, "-o", out)
    assert done.exit_code == 0
    found = json.loads(run("card", "cite", out, "--json").stdout)
    assert found["authors"] == ["A. B."]
    assert found["license"] == "CC-BY-4.0"
    assert run("card", "validate", out).exit_code == 0
    assert run("card", "cite", path, *set_fields).exit_code == 2  # nowhere to write
    assert run("card", "cite", path, "-o", out).exit_code == 2  # nothing to write
    wrong = run("card", "cite", path, "--doi", "x", "-o", tmp_path / "no.card.json")
    assert wrong.exit_code == 2
    assert "doi" in wrong.stderr


def test_migrate_writes_a_card_of_the_present_schema(repo, run, tmp_path):
    out = tmp_path / "new.card.json"
    done = run("card", "migrate", repo / "tests/card/published/card-1.0.json", "-o", out)
    assert done.exit_code == 0, done.output
    assert "assumed nothing" in done.stderr
    assert run("card", "validate", out).exit_code == 0


def test_publish_writes_the_index(path, run, tmp_path):
    done = run("card", "publish", tmp_path, "-o", tmp_path / "site", "--title", "My cards")
    assert done.exit_code == 0, done.output
    assert "<h1>My cards</h1>" in (tmp_path / "site/index.html").read_text()
    assert run("card", "publish", tmp_path, "-o", tmp_path / "site").exit_code == 0
    assert run("card", "publish", path).exit_code == 3


def test_the_page_of_targets_has_two_commands_for_each(repo, run, tmp_path, monkeypatch):
    """The first runs as it is written; the second is that of the README."""
    page = (repo / "docs/how-to/other-programs.md").read_text().partition("## The other way")[0]
    blocks = re.findall(r"^## (.+)\n```bash\n(.+)\n(.+)\n```$", page, re.MULTILINE)
    assert sorted(title for title, _, _ in blocks) == sorted(
        find_exporter(x).title for x in exporters().found
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fits").symlink_to(repo / "fits")
    for title, export, use in blocks:
        words = shlex.split(export)
        assert words[0] == "rramfit"
        one = find_exporter(words[words.index("--to") + 1])
        assert one.title == title
        names = {o.name for o in one.options}
        small = [
            f"--option={k}={v}"
            for k, v in {"rows": 8, "cols": 6, "vectors": 8, "parallel_read": 16}.items()
            if k in names
        ]
        done = run(*words[1:], *small)
        assert done.exit_code == 0, done.output
        folder = words[words.index("-o") + 1]
        readme = (tmp_path / folder / "README.md").read_text()
        run_part = readme.partition("## Run")[2].partition("## Files")[0]
        commands = [x.strip() for x in run_part.splitlines() if x.startswith("    ")]
        assert use == f"(cd {folder} && {' && '.join(commands)})"
