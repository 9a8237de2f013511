"""Options of the benchmarks."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that shorten or lengthen the benchmarks."""
    parser.addoption(
        "--images", type=int, default=10_000, help="images in the benchmark of evaluation"
    )
    parser.addoption("--files", type=int, default=1000, help="files in the benchmark of lots")
    parser.addoption(
        "--megabytes", type=int, default=300, help="size of the file in the benchmark of tables"
    )
