"""`measurement layout` prints the contract that validates; `sample` needs no repository."""

import json
import shutil
import tomllib

import h5py
import pytest
from click.testing import CliRunner

from rramfit.card import load_card
from rramfit.measurement import examples, inspect_measurement, read_layout, validate_layout
from rramfit.measurement.file.contract.documentation import layout_markdown
from rramfit.measurement.file.contract.groups import GROUPS, ROOT_ATTRIBUTES
from rramfit_cli.main import cli


def run(*arguments):
    result = CliRunner().invoke(cli, ["measurement", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_page_in_the_repository_is_current(repo):
    page = repo / "docs" / "reference" / "measurement-layout.md"
    assert page.read_text(encoding="utf-8") == layout_markdown()
    assert run("layout", "--markdown") == layout_markdown()


def test_the_text_names_everything_that_is_read():
    text = run("layout")
    assert max(map(len, text.splitlines())) <= 101
    for name, rule in GROUPS.items():
        assert f"/{name}" in text
        for key in (*rule.datasets, *(f"@{a}" for a in rule.attributes)):
            assert f"\n  {key} " in text, (name, key)
    assert all(f"\n  @{name} " in text for name in ROOT_ATTRIBUTES)
    for version in ("1.0", "1.1"):
        assert version in text


def test_a_file_made_by_the_json_alone_is_valid(tmp_path):
    """Needed datasets and attributes, with the shapes, units and choices that it states."""
    layout = json.loads(run("layout", "--json"))
    sizes = {"row": 3, "col": 4, "level": 2, "channel": 2}
    numbers = {"bits": 8, "full_scale": 1e-5, "zero_code": 3, "temperature": 300.0}
    path = tmp_path / "made.h5"
    with h5py.File(path, "w") as f:
        for owner, attributes in [(f, layout["attributes"])] + [
            (f.create_group(name), group["attributes"]) for name, group in layout["groups"].items()
        ]:
            for name, rule in attributes.items():
                if rule["needed"]:
                    owner.attrs[name] = (
                        rule["choices"][0] if rule["choices"] else numbers.get(name, 0.2)
                    )
        f.attrs.update({"format_version": layout["versions"][-1], "array_id": "a"})
        for name, group in layout["groups"].items():
            for key, rule in group["datasets"].items():
                if not rule["needed"]:
                    continue
                shape = [sizes.get(axis, 2) for axis in rule["shapes"][0]]
                kind = "f4" if rule["units"] else "i4"
                data = f[name].create_dataset(key, shape, kind)
                data[...] = 1e-5 if rule["units"] else 0
                if rule["units"]:
                    data.attrs["units"] = rule["units"][0]
        f["levels/target"][...] = [1e-5, 3e-5]
        f["attempts/upper"][...] = 2e-5
    assert validate_layout(path) == []


def test_a_sample_to_start_with(tmp_path):
    chip, card, layouts = tmp_path / "s.h5", tmp_path / "s.card.json", tmp_path / "layouts"
    run("sample", "-o", chip, "--card", card, "--layouts", layouts)
    assert validate_layout(chip) == []
    seen = inspect_measurement(chip)
    assert seen.identity.synthetic
    assert {f.fit for f in seen.fits if not f.allowed} == {
        "read disturb", "random telegraph noise", "gauge study", "activation energy", "endurance",
        "programming effort", "pulse response",
    }  # fmt: skip
    assert load_card(card).levels
    run("synthesize", card, "-o", tmp_path / "v.h5", "--rows", 4, "--cols", 4, "--sweeps", 3)
    assert "# Layout files" in (layouts / "README.md").read_text(encoding="utf-8")
    examples_ = sorted(layouts.glob("*.toml"))
    assert len(examples_) >= 10
    for path in examples_:
        read_layout(path)


def test_an_installed_package_has_the_same(repo, tmp_path, monkeypatch):
    """With what the wheel holds beside the package, and without the repository."""
    wheel = tomllib.loads((repo / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    for source, target in wheel["targets"]["wheel"]["force-include"].items():
        place = tmp_path / target
        place.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (repo / source).is_dir() else shutil.copy
        copy(repo / source, place)
    expected = examples.layout_examples(), examples.sample_card()
    monkeypatch.setattr(examples, "_HERE", tmp_path / "rramfit" / "measurement")
    monkeypatch.setattr(examples, "_REPOSITORY", tmp_path / "nowhere")
    assert (examples.layout_examples(), examples.sample_card()) == expected


def test_nothing_to_write_is_a_usage_error():
    result = CliRunner().invoke(cli, ["measurement", "sample"])
    assert result.exit_code == 2
    assert "Add -o, --card or --layouts" in result.stderr


@pytest.mark.parametrize("command", ["layout", "sample"])
def test_the_commands_are_listed(command):
    assert command in run("--help")
