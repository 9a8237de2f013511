"""Options of the benchmarks."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that shortens the long benchmarks."""
    parser.addoption(
        "--images", type=int, default=10_000, help="images in the benchmark of evaluation"
    )
