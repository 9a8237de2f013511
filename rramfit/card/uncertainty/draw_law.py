"""Correlations of the errors of a law of several bakes, over all its levels.

Every level has the correlation R of energy, exponent, step, step_rate and rate. Levels share the
exponent, and the energy unless each has its own; given these, their other errors are independent.
So with r the correlations of a parameter with what is shared and S those of what is shared,

    correlation of two levels' parameters = r₁'S⁻¹r₂
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rramfit.card.blocks.temperature import ChangeLaw, LevelLaw

__all__ = ["law_correlation"]

Floats = NDArray[np.float64]


def law_correlation(law: ChangeLaw, path: str) -> tuple[list[str], Floats]:
    """Return the paths of a law's numbers that have errors, and the correlation of their errors.

    Parameters
    ----------
    law : ChangeLaw
    path : str
        Of the law in its card.
    """
    paths: list[str] = []
    loadings: list[Floats] = []  # on energy and exponent, as independent normals
    blocks: list[Floats] = []
    for i, level in enumerate(law.levels):
        names = _names(law, level, path, i)
        r = np.asarray(level.correlation or [], dtype=np.float64)
        shared = [j for j, name in enumerate(names) if name in _shared_paths(path)]
        own = [j for j in range(len(names)) if j not in shared]
        if r.shape != (len(names), len(names)) or not own:
            continue
        root = (
            np.linalg.pinv(
                np.linalg.cholesky(r[np.ix_(shared, shared)] + 1e-12 * np.eye(len(shared)))
            )
            if shared
            else np.zeros((0, 0))
        )
        load = np.zeros((len(own), 2))
        at = [_shared_paths(path).index(names[j]) for j in shared]
        load[:, at] = r[np.ix_(own, shared)] @ root.T
        paths += [names[j] for j in own]
        loadings.append(load)
        blocks.append(r[np.ix_(own, own)] - load @ load.T)
    if not paths:
        return [], np.zeros((0, 0))
    load = np.concatenate(loadings)
    whole = load @ load.T
    first = 0
    for block in blocks:
        whole[first : first + len(block), first : first + len(block)] += block
        first += len(block)
    shared_paths = [p for p in _shared_paths(path) if _has_error(law, p)]
    of_shared = _shared_correlation(law, path, shared_paths)
    chol = np.linalg.cholesky(of_shared + 1e-12 * np.eye(len(of_shared))) if shared_paths else None
    out = np.eye(len(paths) + len(shared_paths))
    n = len(shared_paths)
    out[n:, n:] = whole
    if chol is not None:
        at = [_shared_paths(path).index(p) for p in shared_paths]
        out[:n, :n] = of_shared
        out[n:, :n] = load[:, at] @ chol.T
        out[:n, n:] = out[n:, :n].T
    return [*shared_paths, *paths], out


def _shared_paths(path: str) -> list[str]:
    return [f"{path}.activation_energy", f"{path}.exponent"]


def _has_error(law: ChangeLaw, path: str) -> bool:
    q = law.activation_energy if path.endswith(".activation_energy") else law.exponent
    return q is not None and bool(q.stderr)


def _names(law: ChangeLaw, level: LevelLaw, path: str, i: int) -> list[str]:
    """Return the paths of the numbers that a level's correlation is of."""
    own = f"{path}.levels[{i}]"
    energy, where = law.activation_energy or law.assumed_energy, f"{path}.activation_energy"
    if law.activation_energy is None:
        where = f"{path}.assumed_energy"
    if not law.common and level.activation_energy is not None:
        energy, where = level.activation_energy, f"{own}.activation_energy"
    found = [
        (where, energy),
        (f"{path}.exponent", law.exponent),
        *((f"{own}.{name}", getattr(level, name)) for name in ("step", "step_rate", "rate")),
    ]
    return [name for name, q in found if q is not None and q.stderr]


def _shared_correlation(law: ChangeLaw, path: str, shared: list[str]) -> Floats:
    """Return the correlation of the energy and the exponent that levels share."""
    out = np.eye(len(shared))
    for i, level in enumerate(law.levels):
        names = _names(law, level, path, i)
        r = np.asarray(level.correlation or [], dtype=np.float64)
        if r.shape == (len(names), len(names)) and set(shared) <= set(names):
            at = [names.index(p) for p in shared]
            return np.asarray(r[np.ix_(at, at)])
    return out
