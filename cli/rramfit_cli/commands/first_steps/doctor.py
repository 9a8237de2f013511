"""`rramfit doctor`: what is installed, for bug reports."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import click

from rramfit_cli.console import print_json

__all__ = ["doctor"]

_EXTRAS: Mapping[str, tuple[str, str]] = {  # extra: its package, what it is for
    "dask": ("distributed", "characterize --scheduler"),
    "fast": ("numba", "faster evaluate and ablate on CPUs"),
    "parquet": ("pyarrow", "logs in Parquet and Feather"),
    "stdf": ("stdf-convert", "logs in STDF"),
    "tensorboard": ("tensorboard", "train --tensorboard"),
}
_PROGRAMS = {"ngspice": "exported netlists"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(*, as_json: bool) -> None:
    """Print versions, threads, devices and missing extras, for bug reports.

    Nothing is written, and nothing is sent anywhere.
    """
    facts = dict(_facts())
    if as_json:
        print_json(facts)
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        click.echo(f"{name:<{width}}  {value}")


def _facts() -> Iterator[tuple[str, str]]:
    import rramfit

    yield "rramfit", f"{_version('rramfit')} in {Path(rramfit.__file__).parent}"
    yield "Python", f"{platform.python_version()} ({platform.python_implementation()})"
    yield "system", platform.platform()
    yield "processors", f"{_usable_processors()} of {os.cpu_count()} usable"
    yield from ((name, _version(name)) for name in _required())
    yield from _numerics()
    for extra, (package, use) in _EXTRAS.items():
        found = _version(package)
        missing = f"missing: pip install 'rramfit[{extra}]' for {use}"
        yield f"extra {extra}", found or missing
    for program, use in _PROGRAMS.items():
        import shutil

        yield f"program {program}", shutil.which(program) or f"missing: only for {use}"
    for variable in ("OMP_NUM_THREADS", "RRAMFIT_READ_SECONDS", "RRAMFIT_READ_GIGABYTES"):
        if variable in os.environ:
            yield variable, os.environ[variable]


def _required() -> list[str]:
    """Return the names of the packages that rramfit needs, as installed."""
    lines = metadata.requires("rramfit") or []
    return [_name(line) for line in lines if "extra ==" not in line]


def _name(requirement: str) -> str:
    end = next((i for i, c in enumerate(requirement) if not (c.isalnum() or c in "-_.")), None)
    return requirement[:end]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _numerics() -> Iterator[tuple[str, str]]:
    """Yield the threads of torch, the BLAS libraries that are loaded, and the devices."""
    import h5py
    import numpy as np
    import scipy.linalg  # noqa: F401 (its BLAS is then listed)
    import threadpoolctl
    import torch

    np.zeros((2, 2)) @ np.zeros((2, 2))
    yield "HDF5", h5py.version.hdf5_version
    for pool in threadpoolctl.threadpool_info():
        about = " ".join(str(pool[k]) for k in ("internal_api", "version") if pool.get(k))
        yield (
            f"{pool['user_api']} {Path(pool['filepath']).name}",
            (f"{about}, {pool['num_threads']} threads"),
        )
    yield "torch threads", str(torch.get_num_threads())
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    yield "CUDA devices", ", ".join(devices) or "none"


def _usable_processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
