"""Imports go one way, heavy modules stay inside functions, and help is light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

BASE = {"errors", "units", "provenance", "streams"}
BELOW: dict[str, set[str]] = {}
BELOW["card"] = BASE
BELOW["array"] = BELOW["card"] | {"card"}
BELOW["measurement"] = BELOW["array"] | {"array"}
BELOW["fitting"] = BELOW["measurement"] | {"measurement"}
BELOW["reporting"] = BELOW["fitting"] | {"fitting", "mapping", "training"}
BELOW["mapping"] = BELOW["array"] | {"array"}
BELOW["training"] = BELOW["mapping"] | {"mapping"}
BELOW |= dict.fromkeys(BASE, BASE)

HEAVY = {"torch", "sklearn", "matplotlib", "pandas", "scipy.stats"}


def imported(path: Path) -> set[str]:
    """Top-level part of rramfit that each import of a file names, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module or ""]
            if node.module == "rramfit":
                names = [f"rramfit.{a.name}" for a in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("rramfit.")}
    return found


def test_imports_go_one_way(repo):
    wrong = []
    for path in sorted((repo / "rramfit").rglob("*.py")):
        parts = path.relative_to(repo / "rramfit").parts
        layer = parts[0].removesuffix(".py")
        if layer == "__init__":
            continue  # the front door may name everything
        wrong += [
            f"{'/'.join(parts)} imports {other}"
            for other in imported(path) - BELOW[layer] - {layer}
        ]
    assert not wrong


def test_the_library_does_not_know_the_command_line(repo):
    for path in (repo / "rramfit").rglob("*.py"):
        assert "rramfit_cli" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["characterize", "--help"],
        ["measurement", "--help"],
        ["array", "solve", "--help"],
    ],
)
def test_help_is_light(arguments):
    code = (
        "import sys\nfrom rramfit_cli.main import cli\n"
        f"try:\n    cli({arguments!r})\nexcept SystemExit as e:\n    assert not e.code, e.code\n"
        "print('loaded', *sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.partition("loaded")[2].split())
    assert "click" in loaded
    assert not loaded & HEAVY


def test_evidence_folders_hold_no_code(repo):
    for folder in ("data", "fits", "reports"):
        assert not list((repo / folder).rglob("*.py")), folder


def test_every_package_says_what_it_exports(repo):
    for path in (repo / "rramfit").rglob("__init__.py"):
        assert "__all__" in path.read_text(encoding="utf-8"), path
