"""An export is written whole or not at all, names its limits, and plug-ins cannot disturb it."""

import hashlib
import json
from importlib import metadata
from pathlib import Path

import pytest

from rramfit.card import load_card
from rramfit.errors import OutputError, OverwriteError
from rramfit.export import (
    Export,
    Exporter,
    ExportError,
    Limit,
    Option,
    OptionError,
    export_card,
    exporters,
    find_exporter,
)
from rramfit.export.limits import PROPERTIES, limits
from rramfit.measurement.virtual.cards import random_card

SMALL = {"rows": 8, "cols": 6}


def exporter(export, name="mine", options=()):
    return Exporter(
        name=name,
        title="My simulator",
        writes="Writes it.",
        cannot="Cannot say much.",
        verified="By hand.",
        export=export,
        options=options,
    )


def two_files(_card, _options):
    return Export(
        files={"a.txt": "one\n", "sub/b.bin": b"\0\1"},
        commands=("first", "second"),
        approximated=(Limit(what="It is round.", size="3 %"),),
    )


def entry_points(monkeypatch, *points):
    real = metadata.entry_points
    chosen = metadata.EntryPoints(points)
    monkeypatch.setattr(
        metadata,
        "entry_points",
        lambda **k: chosen.select(**k) if k.get("group", "").startswith("rramfit.") else real(**k),
    )


def point(name, value, group="rramfit.exporters"):
    return metadata.EntryPoint(name=name, value=value, group=group)


def test_files_and_a_readme_are_written(tmp_path):
    card = random_card(1)
    written = export_card(card, exporter(two_files), tmp_path / "new/out")
    names = {str(p.relative_to(tmp_path / "new/out")) for p in written}
    assert names == {"a.txt", "sub/b.bin", "README.md", "export.json"}
    assert all(p.is_file() for p in written)
    text = (tmp_path / "new/out/README.md").read_text()
    for part in ("    first\n    second\n", "It is round. Size in this card: 3 %.", "By hand."):
        assert part in text
    manifest = json.loads((tmp_path / "new/out/export.json").read_text())
    assert manifest["card"]["digest"] == card.digest
    digest = hashlib.sha256(b"\0\1").hexdigest()
    assert manifest["files"]["sub/b.bin"] == digest
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["out"]  # nothing temporary is left


def test_a_repeated_export_replaces_its_own_files_alone(tmp_path):
    def fewer(_card, _options):
        return Export(files={"a.txt": "new\n"}, commands=("run",))

    card, out = random_card(1), tmp_path / "out"
    export_card(card, exporter(two_files), out)
    (out / "results.csv").write_text("of the user")
    export_card(card, exporter(fewer), out)
    assert (out / "a.txt").read_text() == "new\n"
    assert not (out / "sub/b.bin").exists()
    assert (out / "results.csv").read_text() == "of the user"
    (out / "a.txt").write_text("edited")
    with pytest.raises(OverwriteError, match=r"a\.txt"):
        export_card(card, exporter(fewer), out)
    assert (out / "a.txt").read_text() == "edited"
    export_card(card, exporter(fewer), out, replace=True)
    assert (out / "a.txt").read_text() == "new\n"


@pytest.mark.parametrize("taken", ["a.txt", "README.md", "export.json", "sub/b.bin"])
def test_a_file_of_the_user_ends_the_export_before_it_writes(taken, tmp_path):
    out = tmp_path / "out"
    (out / taken).parent.mkdir(parents=True)
    (out / taken).write_text("precious")
    with pytest.raises(OverwriteError):
        export_card(random_card(1), exporter(two_files), out)
    assert [p for p in out.rglob("*") if p.is_file()] == [out / taken]
    assert (out / taken).read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError):
        export_card(random_card(1), exporter(two_files), tmp_path / "file")
    (tmp_path / "out/a.txt").mkdir(parents=True)
    with pytest.raises(OutputError, match="folder"):
        export_card(random_card(1), exporter(two_files), tmp_path / "out")
    assert not (tmp_path / "out/README.md").exists()


@pytest.mark.parametrize("name", ["../x", "/etc/x", "README.md", "export.json", "a/../../b", ""])
def test_a_plugin_cannot_write_outside_its_folder(name, tmp_path):
    def bad(_card, _options):
        return Export(files={name: "x"}, commands=())

    with pytest.raises(ExportError, match="Repair the plug-in"):
        export_card(random_card(1), exporter(bad), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_an_exporter_that_fails_is_one_sentence_and_writes_nothing(tmp_path):
    def fails(_card, _options):
        msg = "no\nsuch thing"
        raise KeyError(msg)

    def wrong(_card, _options):
        return {"a": 1}

    def numbers(_card, _options):
        return Export(files={"a": 1}, commands=())

    cases = ((fails, "KeyError"), (wrong, "returned a dict"), (numbers, "an int|a int"))
    for export, said in cases:
        with pytest.raises(ExportError, match=said) as e:
            export_card(random_card(1), exporter(export), tmp_path / "out")
        assert "\n" not in str(e.value)
        assert not list(tmp_path.iterdir())


def test_plugins_are_found_and_broken_ones_are_one_sentence(monkeypatch):
    entry_points(
        monkeypatch,
        point("good", "tests_of_plugins:GOOD"),
        point("missing", "no_such_package_anywhere:X"),
        point("nothing", "json:dumps"),
        point("crash", "tests_of_plugins:CRASH"),
        point("taken", "tests_of_plugins:TAKEN"),
        point("attribute", "json:no_such_name"),
    )
    import sys
    import types

    module = types.ModuleType("tests_of_plugins")
    module.GOOD = exporter(two_files, name="good")
    module.TAKEN = exporter(two_files, name="spice")  # an alias of ngspice
    module.__getattr__ = lambda name: 1 // 0 if name == "CRASH" else None
    monkeypatch.setitem(sys.modules, "tests_of_plugins", module)
    known = exporters()
    assert "good" in known.found
    assert set(known.broken) == {"missing", "nothing", "crash", "taken", "attribute"}
    assert known.found["ngspice"] is find_exporter("spice")
    for name, text in known.broken.items():
        assert name in text
        assert "\n" not in text
        assert text.endswith(("it.", "them."))
        with pytest.raises(ExportError, match="plug-in"):
            find_exporter(name)
    with pytest.raises(ExportError, match="there is no target 'nowhere'"):
        find_exporter("nowhere")


def test_options_are_checked():
    e = exporter(
        two_files,
        options=(
            Option(name="n", kind=int, default=1, meaning="number", least=1),
            Option(name="x", kind=float, default=None, meaning="length [m]", least=0),
            Option(name="way", kind=str, default="a", meaning="way", choices=("a", "b")),
            Option(name="file", kind=Path, default=None, meaning="file"),
        ),
    )
    assert e.resolve({}) == {"n": 1, "x": None, "way": "a", "file": None}
    given = e.resolve({"n": "3", "x": "0.5", "way": "b", "file": "c.csv"})
    assert given == {"n": 3, "x": 0.5, "way": "b", "file": Path("c.csv")}
    for bad in ({"n": "0"}, {"n": "1.5"}, {"x": "nan"}, {"x": "-1"}, {"way": "c"}, {"m": "1"}):
        with pytest.raises(OptionError, match=next(iter(bad))):
            e.resolve(bad)


def own_targets():
    return sorted(exporters().found)


@pytest.mark.parametrize("target", own_targets())
def test_every_target_takes_the_reference_card_and_says_what_it_lacks(target, repo, tmp_path):
    card = load_card(repo / "fits/reference-1.0.0.card.json")
    one = find_exporter(target)
    names = {o.name for o in one.options}
    options = {k: v for k, v in SMALL.items() if k in names}
    options |= {"counts": "pad"} if "counts" in names else {}
    written = export_card(card, target, tmp_path / "out", options)
    text = (tmp_path / "out/README.md").read_text()
    commands = text.partition("## Run")[2].partition("## Files")[0]
    assert 1 <= len([x for x in commands.splitlines() if x.startswith("    ")]) <= 2
    for part in (one.writes, one.cannot, one.verified, card.digest):
        assert part in text
    assert all(x.isprintable() for x in text.replace("\n", ""))
    again = export_card(card, target, tmp_path / "again", options)
    assert [p.read_bytes() for p in written] == [p.read_bytes() for p in again]


def test_limits_are_those_of_the_card(repo):
    reference = load_card(repo / "fits/reference-1.0.0.card.json")
    everything = limits(reference, expressed=frozenset(PROPERTIES))
    nothing = limits(reference, expressed=frozenset())
    assert len(nothing) > len(everything) + 10
    found = {limit.what: limit.size for limit in nothing}
    assert "b = 1.26 1/V" in found["Cells are ohmic."]
    assert "0.29 % low" in found["There are no stuck cells."]
    bare = random_card(1, spatial=False, failures=False)
    assert len(limits(bare, expressed=frozenset())) < len(nothing)
    with pytest.raises(ValueError, match="unknown properties"):
        limits(bare, expressed={"everything"})


def test_a_hostile_name_stays_on_its_line(tmp_path):
    card = random_card(1).model_copy(update={"name": "x\n# Injected \x1b[2J"})
    export_card(card, exporter(two_files), tmp_path / "out")
    lines = (tmp_path / "out/README.md").read_text().splitlines()
    assert not [x for x in lines if x.startswith("# Injected")]
    assert "\x1b" not in "".join(lines)
