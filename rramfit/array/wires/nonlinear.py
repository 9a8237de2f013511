"""Column currents of arrays whose cells need not be ohmic, with the gradient of the solution.

A cell carries i = G phi(u), with phi odd, increasing and phi'(0) = 1; for a sinh cell of
nonlinearity b, phi(u) = sinh(b u)/b. Newton's method replaces each cell by its Norton equivalent at
the present voltage, slope G phi'(u) and offset u - phi/phi'. That is a linear array again: every
step is one linear solve with the same constraints (`rramfit.array.wires.iterative`), and an ohmic
array takes one step.

The gradient follows from the implicit function theorem. With a the cell voltages of the linearised
array when the gradient of each column's current is applied at that column,

    dL = sum a phi(u) dG + sum (slope a) (de - dR i) + sum a G dphi

so a backward pass costs one more linear solve and O(mn) memory per vector.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from rramfit.array.wires.effective import flat_problem
from rramfit.array.wires.iterative import CellSolution, Network, default_tolerance, solve_cells
from rramfit.array.wires.line import LineResistance, as_number
from rramfit.array.wires.wire_operator import Wires
from rramfit.errors import ArrayError

__all__ = [
    "CellLaw",
    "IterativeSolution",
    "cubic_law",
    "ohmic_law",
    "sinh_law",
    "solve_iterative",
    "solve_nonlinear",
]

CellLaw = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(voltage [V], nonlinearity b [1/V]) to (phi [V], its slope); phi odd and rising, slope 1 at 0."""


def ohmic_law(voltage: Tensor, nonlinearity: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    """Return phi(u) = u, and its slope."""
    return voltage, torch.ones_like(voltage)


def sinh_law(voltage: Tensor, nonlinearity: Tensor) -> tuple[Tensor, Tensor]:
    """Return phi(u) = sinh(b u)/b, which is u where b is 0, and its slope."""
    x = nonlinearity * voltage
    series = 1 + x**2 / 6 * (1 + x**2 / 20)  # to 1e-12 where |x| < 0.02
    near = x.abs() < 0.02
    safe = torch.where(near, torch.ones_like(x), x)
    return voltage * torch.where(near, series, torch.sinh(safe) / safe), torch.cosh(x)


def cubic_law(voltage: Tensor, nonlinearity: Tensor) -> tuple[Tensor, Tensor]:
    """Return phi(u) = u (1 + (b u)^2/6), the first terms of the sinh cell, and its slope."""
    square = (nonlinearity * voltage) ** 2
    return voltage * (1 + square / 6), 1 + square / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class IterativeSolution:
    """Column currents, with the convergence of the solve."""

    column_current: Tensor  # [A]  (..., vector, col)
    newton_steps: int  #     1 for ohmic cells
    iterations: int  #     of conjugate gradients, all steps together
    residual: float  #     worst relative residual of the last linear solve
    last_step: float  #     largest change of a cell's voltage in the last Newton step, relative


@dataclass(slots=True)
class _Trace:
    """Convergence of a solve, filled in as it runs."""

    newton_steps: int = 0
    iterations: int = 0
    residual: float = 0.0
    last_step: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    line: LineResistance
    active: Tensor
    law: CellLaw
    tolerance: float
    newton_tolerance: float
    max_newton: int
    trace: _Trace


def _newton(
    network: Network, g: Tensor, source: Tensor, b: Tensor, options: _Options
) -> CellSolution:
    """Solve for the voltages of ohmic or nonlinear cells."""
    trace = options.trace
    solution = solve_cells(network, g, source, tolerance=options.tolerance)
    trace.newton_steps, trace.iterations = 1, solution.iterations
    trace.residual = float(solution.residual.max())
    if options.law is ohmic_law:
        return solution
    u = solution.voltage
    size = float(source.abs().max()) or 1.0
    last = float("inf")
    for _ in range(options.max_newton):
        phi, slope = options.law(u, b)
        offset = u - phi / slope
        solution = solve_cells(network, g * slope, source - offset, tolerance=options.tolerance)
        change = solution.voltage + offset - u
        step = float(change.abs().max()) / size
        u = u + change * (1.0 if step < last else 0.5)  # a growing step has overshot
        trace.newton_steps += 1
        trace.iterations += solution.iterations
        trace.residual, trace.last_step, last = float(solution.residual.max()), step, step
        if step <= options.newton_tolerance:
            # the linear network's own currents: in a short, G phi(u) has lost the digits of u
            return CellSolution(
                voltage=u,
                current=solution.current,
                iterations=trace.iterations,
                residual=solution.residual,
            )
    msg = (
        f"Newton's method still moves cell voltages by {last:.2g} of the drive after "
        f"{options.max_newton} steps; expected {options.newton_tolerance:.2g}. Lower the voltage "
        "or the nonlinearity, or raise max_newton"
    )
    raise ArrayError(msg)


def _cells_of(g: Tensor, options: _Options) -> Tensor:
    """Return the conductances for each vector, gated rows at zero: (tile, vector or 1, m, n)."""
    gated = options.line.inactive_rows == "gated"
    return g[:, None] * options.active[..., None] if gated else g[:, None]


class _Currents(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, g: Tensor, v: Tensor, b: Tensor, options: _Options, *resistances: Tensor
    ) -> Tensor:
        line = options.line
        network = Network.of(line, options.active, g).detached()
        cells = _cells_of(g, options)
        source = v[..., None].expand(*v.shape, g.shape[-1])
        solution = _newton(network, cells, source, b, options)
        ctx.network, ctx.options = network, options
        ctx.save_for_backward(g, v, b, solution.voltage, solution.current, *resistances)
        return solution.current.sum(-2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        g, v, b, u, current, *resistances = ctx.saved_tensors
        options: _Options = ctx.options
        cells = _cells_of(g, options)
        slope = cells * options.law(u, b)[1]
        adjoint = solve_cells(
            ctx.network,
            slope,
            grad[..., None, :].expand(u.shape),
            tolerance=options.tolerance,
        )
        with torch.enable_grad():
            inputs = [x.detach().requires_grad_() for x in (g, v, b, *resistances)]
            g_, v_, b_, *r_ = inputs
            wires = replace(
                ctx.network.wires, r_wl=r_[0], r_bl=r_[1], r_driver=r_[2], r_sense=r_[3]
            )
            phi, _ = options.law(u, b_)
            total = (adjoint.voltage * _cells_of(g_, options) * phi).sum()
            total = total + (adjoint.current * (v_[..., None] - wires.drop(current))).sum()
            grads = torch.autograd.grad(total, inputs, allow_unused=True)
        return (*grads[:3], None, *grads[3:])


def _solve(
    conductance: Tensor,
    voltage: Tensor,
    line: LineResistance,
    *,
    active: Tensor | None,
    nonlinearity: Tensor,
    law: CellLaw,
    tolerance: float | None,
    max_newton: int,
) -> IterativeSolution:
    g, v, on, lead = flat_problem(conductance, voltage, active)
    v = torch.where(on, v, torch.zeros_like(v))
    least = default_tolerance(g.dtype)
    options = _Options(
        line=line,
        active=on,
        law=law,
        tolerance=least if tolerance is None else tolerance,
        newton_tolerance=10 * least if tolerance is None else 10 * tolerance,
        max_newton=max_newton,
        trace=_Trace(),
    )
    wires = Wires.of(line, g)
    current: Tensor = _Currents.apply(  # type: ignore[no-untyped-call]
        g, v, nonlinearity, options, wires.r_wl, wires.r_bl, wires.r_driver, wires.r_sense
    )
    trace = options.trace
    return IterativeSolution(
        column_current=current.reshape(*lead, g.shape[-1]),
        newton_steps=trace.newton_steps,
        iterations=trace.iterations,
        residual=trace.residual,
        last_step=trace.last_step,
    )


def solve_iterative(
    conductance: Tensor,
    voltage: Tensor,
    line: LineResistance,
    *,
    active: Tensor | None = None,
    tolerance: float | None = None,
) -> IterativeSolution:
    """Compute the column currents of ohmic arrays by conjugate gradients.

    Parameters
    ----------
    conductance : (..., m, n) tensor
        [S], at least 0.
    voltage : (..., vector, m) tensor
        Row voltages [V].
    line : LineResistance
        Any broken segments, driven ends and inactive rows. All drivers of a floating row are off.
    active : (..., vector, m) bool tensor, optional
        The driven rows; by default those whose voltage is not zero.
    tolerance : float, optional
        Relative residual; by default 1e-11 in float64 and 1e-5 in float32.

    Returns
    -------
    IterativeSolution
        The currents are differentiable in conductances, voltages and resistances.

    Raises
    ------
    ArrayError
        If the tolerance is not reached, or a conductance is negative.
    """
    return _solve(
        conductance,
        voltage,
        line,
        active=active,
        nonlinearity=torch.zeros((), dtype=conductance.dtype, device=conductance.device),
        law=ohmic_law,
        tolerance=tolerance,
        max_newton=1,
    )


def solve_nonlinear(
    conductance: Tensor,
    voltage: Tensor,
    line: LineResistance,
    *,
    nonlinearity: float | Tensor,
    law: CellLaw = sinh_law,
    active: Tensor | None = None,
    tolerance: float | None = None,
    max_newton: int = 50,
) -> IterativeSolution:
    """Compute the column currents of arrays of nonlinear cells by Newton's method.

    Parameters
    ----------
    conductance : (..., m, n) tensor
        Small-signal conductance at 0 V [S], at least 0.
    voltage, line, active, tolerance
        As for `solve_iterative`; cell voltages are accurate to ten times the tolerance.
    nonlinearity : float or tensor that broadcasts to (tile, vector, m, n)
        b of `law` [1/V]; a number is taken in float64.
    law : callable
        Current per conductance of a cell; see `CellLaw`.
    max_newton : int

    Returns
    -------
    IterativeSolution
        The currents are differentiable, also in `nonlinearity`.

    Raises
    ------
    ArrayError
        If Newton's method or a linear solve within it does not converge.
    """
    return _solve(
        conductance,
        voltage,
        line,
        active=active,
        nonlinearity=as_number(nonlinearity, conductance),
        law=law,
        tolerance=tolerance,
        max_newton=max_newton,
    )
