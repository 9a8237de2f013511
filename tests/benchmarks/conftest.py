"""Options of the benchmarks."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let long benchmarks be made short."""
    parser.addoption(
        "--images", type=int, default=10_000, help="images in the benchmark of evaluation"
    )
