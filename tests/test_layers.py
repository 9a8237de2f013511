"""Imports run one way, between packages and between rooms, without circles; help is light."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

BASE = {"errors", "units", "provenance", "streams", "workers", "hdf5"}
BELOW: dict[str, set[str]] = {}
BELOW["card"] = BASE
BELOW["array"] = BELOW["card"] | {"card"}
BELOW["measurement"] = BELOW["array"] | {"array"}
BELOW["fitting"] = BELOW["measurement"] | {"measurement"}
BELOW["reporting"] = BELOW["fitting"] | {"fitting", "mapping", "training", "export"}
BELOW["mapping"] = BELOW["array"] | {"array"}
BELOW["training"] = BELOW["mapping"] | {"mapping"}
BELOW["export"] = BELOW["mapping"] | {"mapping"}
BELOW |= dict.fromkeys(BASE, BASE)

TOP = "(modules of the package itself)"
ROOMS = {
    "card": ["quantity", "part", "families", "blocks", "conditions", "schemas", TOP, "uncertainty"],
    "array": ["wires", "devices", TOP],
    "measurement": ["file", "lab", "virtual", "planning", TOP],
    "fitting": [
        "results",
        "statistics",
        "screening",
        "levels",
        "variation",
        "failure",
        "time",
        "tails",
        "electrical",
        "checks",
        TOP,
        "comparison",
        "pooling",
    ],
    "mapping": ["layout", "tiles", "layers", "study", TOP],
    "training": ["forward", "loop", TOP],
    "export": [TOP, "plain", "circuits", "networks", "imports"],
    "reporting": ["page", "report_data", "figures", "sections", TOP, "pooling", "lots"],
}
"""Rooms of each package, each of which may use those before it."""

MOST_ENTRIES = 15

HEAVY = {"torch", "sklearn", "matplotlib", "pandas", "scipy.stats"}


def modules(root: Path, package: str) -> dict[str, Path]:
    """Every module of a package by its dotted name."""
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path) -> set[str]:
    """Dotted names that the imports of a file name, inside functions and for types too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{a.name}" for a in node.names}
    return found


def import_graph(root: Path, package: str) -> dict[str, set[str]]:
    """Which modules of a package each of its modules imports."""
    known = modules(root, package)

    def module_of(name: str) -> str | None:
        return name if name in known else module_of(name.rpartition(".")[0]) if name else None

    return {
        name: {m for m in map(module_of, imported(path)) if m is not None} - {name}
        for name, path in known.items()
    }


@pytest.fixture(scope="module")
def graph(repo: Path) -> dict[str, set[str]]:
    return import_graph(repo, "rramfit")


def room_of(module: str) -> str:
    """The room of a module of a package; `TOP` for a module in no room."""
    _, package, *rest = module.split(".")
    return rest[0] if rest and rest[0] in ROOMS[package] else TOP


def test_packages_import_one_way(graph):
    wrong = []
    for module, others in graph.items():
        if module == "rramfit":
            continue  # the front door may name everything
        layer = module.split(".")[1]
        wrong += [
            f"{module} imports {other}"
            for other in others - {"rramfit"}
            if other.split(".")[1] not in BELOW[layer] | {layer}
        ]
    assert not wrong


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_one_way(graph, package):
    inside = f"rramfit.{package}."
    order = ROOMS[package]
    wrong = [
        f"{module} imports {other}"
        for module, others in graph.items()
        if module.startswith(inside)
        for other in others
        if other.startswith(inside) and order.index(room_of(other)) > order.index(room_of(module))
    ]
    assert not wrong


def test_every_room_is_in_the_order(repo):
    for package, order in ROOMS.items():
        folder = repo / "rramfit" / package
        rooms = {p.parent.name for p in folder.glob("*/__init__.py")}
        assert rooms == {name for name in order if (folder / name).is_dir()}, package


@pytest.mark.parametrize(("root", "package"), [(".", "rramfit"), ("cli", "rramfit_cli")])
def test_no_circle_of_imports(repo, root, package):
    """Without the front doors, which hand on names of modules below them."""
    graph = import_graph(repo / root, package)
    doors = {
        name for name, path in modules(repo / root, package).items() if path.stem == "__init__"
    }
    graphlib.TopologicalSorter({m: o - doors for m, o in graph.items() if m not in doors}).prepare()


def test_a_room_does_not_enter_by_its_own_door(graph):
    """A module imports its neighbours by their own names; its package's `__init__` imports it."""
    wrong = [
        f"{module} imports {other}"
        for module, others in graph.items()
        for other in others
        if module.startswith(f"{other}.") and other != "rramfit"
    ]
    assert not wrong


def test_a_listing_is_short(repo):
    long = {
        str(folder.relative_to(repo)): len(entries)
        for root in ("rramfit", "cli/rramfit_cli")
        for folder in [repo / root, *(repo / root).rglob("*/")]
        if (entries := [p for p in folder.iterdir() if not p.name.startswith("__")])
        and len(entries) > MOST_ENTRIES
    }
    assert not long


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


def test_every_package_lists_what_it_exports(repo):
    for path in (repo / "rramfit").rglob("__init__.py"):
        text = path.read_text(encoding="utf-8")
        assert "__all__" in text, path
        model = ast.get_docstring(ast.parse(text)) or ""
        assert len(model.splitlines()) <= 10, path
