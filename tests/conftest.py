"""Fixtures for all tests, and the rule for continuous integration: only CUDA tests are skipped.

With ``CI=true`` a test that is skipped for another reason than a missing CUDA device fails, so that
a missing program (chromium, ngspice) cannot go unnoticed. Tests of third-party data are deselected
there if the data are missing; the header of pytest says so, and its closing line counts them.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("RRAMFIT_SHARED", ROOT.parent / "shared")).resolve()
IN_CI = os.environ.get("CI", "").lower() in ("true", "1")


@pytest.fixture(scope="session")
def repo() -> Path:
    """The root folder of the project."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of third-party data beside the project."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is missing; set RRAMFIT_SHARED to the folder of third-party data")
    return SHARED


def pytest_report_header() -> str | None:
    if SHARED.is_dir():
        return None
    return f"third-party data: {SHARED} is missing, so that tests of it are not run"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not IN_CI or SHARED.is_dir():
        return
    without_data = [x for x in items if "shared" in getattr(x, "fixturenames", ())]
    config.hook.pytest_deselected(items=without_data)
    items[:] = [x for x in items if x not in without_data]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if "CUDA" not in reason:
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} must not be skipped in CI. {reason}"
    return report


@pytest.fixture
def visit(tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """Return a function that loads a page in Chromium: its DOM, and the console output."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium is not installed")

    def load(page: Path, query: str = "", *flags: str) -> tuple[str, str]:
        command = [
            *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
            *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
            *("--disable-sync", "--hide-scrollbars", "--allow-file-access-from-files"),
            *("--enable-logging=stderr", "--v=0", f"--user-data-dir={tmp_path / 'profile'}"),
            *("--dump-dom", *flags, page.as_uri() + (f"?{query}" if query else "")),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout, "\n".join(x for x in done.stderr.splitlines() if ":CONSOLE" in x)

    return load
