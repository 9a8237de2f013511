"""An array at the ends of its wires: rows driven at one end or both, rows that float, and breaks.

The merged array (`rramfit.array.wires.merging`) responds at its ports. With v the voltages of the
left row ends and the lower column ends together, and i the currents into the right row ends,

    current into the ends of v    Y v - P^T i
    voltage of the right ends     P v + Z i

An end is driven, by a source or by the virtual ground below a column, or free: no current enters.
With F the free ends of v, D the driven ones and O the driven right ends, at voltages V,

    Z_OO i_O = V_O - P_O v        Y_FF v_F + Y_FD V_D - P_OF^T i_O = 0        i = 0 elsewhere

and v_F follows from the Schur complement

    (Y_FF + P_OF^T Z_OO^-1 P_OF) v_F = P_OF^T Z_OO^-1 (V_O - P_OD V_D) - Y_FD V_D

Both systems are positive definite, and neither subtracts large numbers where a wire has little or
no resistance. Ends are free in two cases:

    floating rows   all drivers of the row are off: its left and its right end are free
    broken wires    each piece of a row or column becomes a separate row or column with its cells,
                    next to the others; its ends without a driver or sense amplifier are free. A
                    break is not modelled as a large resistance

A cluster that breaks cut off from all sources and sense amplifiers has no defined potential; its
ends are set to 0 V and carry no current. Gated rows are not here: their cells are zero in the
conductances.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.array.wires.line import LineResistance, as_number, check_conductance, segments
from rramfit.array.wires.merge_plan import MergePlan, Side, merge_plan
from rramfit.array.wires.merging import Cells, port_matrix
from rramfit.array.wires.pieces import WirePieces, connected, wire_pieces

__all__ = ["WirePorts", "solve_ends", "wire_ports"]

CELLS_PER_BATCH = 2**17
"""Cells that are merged together: more overflow the cache, fewer pay for more calls."""

PAIRS_PER_BATCH = 2**24
"""Entries of the free ends' systems that are solved together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WirePorts:
    """Port matrix of some tiles, and the places of its ports.

    Left and right ports are those of the row pieces, bottom ports those of the column pieces.
    """

    h: Tensor  # (tile, port, port)
    plan: MergePlan
    cells: Cells  # as merged
    line: LineResistance
    pieces: WirePieces
    conducts: Tensor | None  # (tile, row piece, column piece) bool; None: no break
    two_ended: bool  # the right ports are present, each behind its second driver

    @property
    def shape(self) -> tuple[int, int]:
        """Return the number of row pieces and of column pieces."""
        return len(self.pieces.rows), len(self.pieces.cols)

    def ports(self, side: Side) -> slice:
        """Return the ports of a side, padding cut off."""
        start = self.plan.sides[side].start
        return slice(start, start + self.shape[side == "B"])

    def part(self, rows: Side, cols: Side) -> Tensor:
        """Return the block of the port matrix between two sides."""
        return self.h[:, self.ports(rows), self.ports(cols)]

    def tied(self) -> tuple[Tensor, Tensor]:
        """Return the effective matrix and the source admittance with all rows driven.

        Returns
        -------
        t : (tile, m, n) tensor [S]
            Column currents per source voltage.
        a : (tile, m, m) tensor [S]
            Current of each row's sources per source voltage; symmetric.
        """
        if self.conducts is None:
            t, a = -self.part("L", "B"), self.part("L", "L")
            if not self.two_ended:
                return t, a
            missing = self.missing()
            flow = _cholesky_solve(*_cholesky(-self.part("R", "R")), missing)
            return t - flow.mT @ self.part("R", "B"), a + missing.mT @ flow
        m = self.pieces.rows[-1].row + 1
        each_row = torch.eye(m, dtype=self.h.dtype, device=self.h.device)
        each_row = each_row.expand(len(self.h), 1, m, m)
        v, i = solve_ends(self, each_row)
        return self.column_currents(v, i)[:, 0], self._source_currents(v, i)[:, 0]

    def column_currents(self, v: Tensor, i: Tensor | None) -> Tensor:
        """Return column currents [A], (tile, pattern, drive, n), of ends as solved."""
        current = -self._into(v, i, "B")
        if self.conducts is None:
            return current
        at = [k for k, x in enumerate(self.pieces.cols) if x.sensed]
        cols = torch.tensor([self.pieces.cols[k].col for k in at], dtype=torch.long)
        out = current.new_zeros(*current.shape[:-1], self.pieces.cols[-1].col + 1)
        return out.index_copy(-1, cols.to(out.device), current[..., at])

    def _source_currents(self, v: Tensor, i: Tensor | None) -> Tensor:
        """Return the current of each row's sources [A], (tile, pattern, drive, m)."""
        device = self.h.device
        current = self._into(v, i, "L") * self.left_driven(device)
        if i is not None:
            current = current + i
        out = current.new_zeros(*current.shape[:-1], self.pieces.rows[-1].row + 1)
        return out.index_add(-1, self.pieces.rows_of(device), current)

    def _into(self, v: Tensor, i: Tensor | None, side: Side) -> Tensor:
        """Return the current into the left or bottom ends [A]."""
        rows = self.shape[0]
        out = _along(v[..., :rows], self.part("L", side))
        if v.shape[-1] > rows:
            out = out + _along(v[..., rows:], self.part("B", side))
        return out if i is None else out + _along(i, self.part("R", side))

    def missing(self) -> Tensor:
        """Return 1 - P between left and right ends, (tile, row piece, row piece)."""
        return torch.eye(self.shape[0]).to(self.h) + self.part("R", "L")

    def left_driven(self, device: torch.device) -> Tensor:
        """Return whether each row piece has a driver that acts at its left end.

        Without wire resistance a right driver acts there as well.
        """
        left = self.pieces.row_mask("left", device)
        return left if self.two_ended else left | self.pieces.row_mask("right", device)


def wire_ports(conductance: Tensor, line: LineResistance) -> tuple[WirePorts, ...]:
    """Merge arrays, some tiles at a time; differentiable in conductances and resistances.

    Parameters
    ----------
    conductance : (tile, m, n) tensor
        [S].
    line : LineResistance

    Returns
    -------
    tuple of WirePorts
        Of all tiles, in their order.

    Raises
    ------
    ArrayError
        If a conductance is not finite, or a broken segment is outside the array.
    """
    check_conductance(conductance)
    pieces = wire_pieces(line, *conductance.shape[-2:])
    plan, cells = _port_cells(conductance, line, pieces)
    chunk = max(1, CELLS_PER_BATCH // max(1, plan.rows * plan.cols))
    out = []
    for at in range(0, len(conductance), chunk):
        g, w, b = (x[at : at + chunk] for x in cells)
        conducts = g.detach()[..., : len(pieces.cols)] != 0 if line.broken else None
        out.append(
            WirePorts(
                h=port_matrix((g, w, b), plan),
                plan=plan,
                cells=(g, w, b),
                line=line,
                pieces=pieces,
                conducts=conducts,
                two_ended=_two_ended(line, conductance.shape[-1]),
            )
        )
    return tuple(out)


def _two_ended(line: LineResistance, cols: int) -> bool:
    """Whether a second driver changes anything: not where rows have no resistance at all."""
    between = (line.r_driver, line.r_wl if cols > 1 else 0.0)
    return line.drive == "both" and any(
        float(r.detach() if isinstance(r, Tensor) else r) > 0 for r in between
    )


def _port_cells(g: Tensor, line: LineResistance, pieces: WirePieces) -> tuple[MergePlan, Cells]:
    """Cells of row pieces by column pieces, with a second driver as one more, empty column."""
    w, b = segments(line, g)
    tiles, rows, cols = len(g), len(pieces.rows), len(pieces.cols)
    original = g.shape[-1]
    if line.broken:
        row_of, col_of = pieces.rows_of(g.device), pieces.cols_of(g.device)
        last = row_of.diff(append=row_of.new_tensor([g.shape[-2]])) > 0
        first = col_of.diff(prepend=col_of.new_tensor([-1])) > 0
        w, b = w[col_of] * first, b[row_of] * last
        flat = g.new_zeros(tiles, rows * cols)
        g = flat.index_copy(1, pieces.places(g.device), g.flatten(1)).reshape(tiles, rows, cols)
    w, b = w.expand(tiles, rows, cols), b[:, None].expand(tiles, rows, cols)
    if not _two_ended(line, original):
        return merge_plan(rows, cols, keep_right=False), (g, w, b)
    driver = as_number(line.r_driver, g).expand(tiles, rows, 1)
    none = torch.zeros_like(driver)
    wider = torch.cat((g, none), -1), torch.cat((w, driver), -1), torch.cat((b, none), -1)
    return merge_plan(rows, cols + 1, keep_right=True), wider


def solve_ends(
    ports: WirePorts, voltage: Tensor, active: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Solve the ends of the wires for voltages of the sources.

    Parameters
    ----------
    ports : WirePorts
    voltage : (tile, pattern, drive, m) tensor
        Source voltages [V]. Those of rows that float are ignored.
    active : (tile, pattern, m) bool tensor, optional
        The rows whose drivers are on; the others float. By default all are on.

    Returns
    -------
    v : (tile, pattern, drive, row piece [+ column piece]) tensor
        Voltage at the left ends, and with broken segments at the lower ends [V].
    i : (tile, pattern, drive, row piece) tensor or None
        Current into the right ends [A]; None without a second driver.
    """
    if active is None and ports.conducts is None:
        if not ports.two_ended:
            return voltage, None
        rhs = _along(voltage, ports.missing().mT)
        flow = _cholesky_solve(*_cholesky(-ports.part("R", "R")), rhs.flatten(1, 2).mT)
        return voltage, flow.mT.reshape(voltage.shape)
    tiles, patterns = voltage.shape[:2]
    m = voltage.shape[-1]
    chunk = max(1, PAIRS_PER_BATCH // max(1, tiles * sum(ports.shape) ** 2))
    on = torch.ones(m, dtype=torch.bool, device=voltage.device) if active is None else active
    on = on.expand(tiles, patterns, m)
    found = [
        _with_free_ends(ports, voltage[:, k : k + chunk], on[:, k : k + chunk])
        for k in range(0, patterns, chunk)
    ]
    right = [i for _, i in found if i is not None]
    return torch.cat([v for v, _ in found], 1), torch.cat(right, 1) if right else None


def _with_free_ends(ports: WirePorts, voltage: Tensor, on: Tensor) -> tuple[Tensor, Tensor | None]:
    """Solve the ends for a few patterns; arguments as of `solve_ends`."""
    device, (rows, cols) = voltage.device, ports.shape
    of_row = ports.pieces.rows_of(device)
    on, voltage = on[..., of_row], voltage[..., of_row]
    left = on & ports.left_driven(device)
    right = on & ports.pieces.row_mask("right", device)
    may_be_free = (~left).flatten(0, -2).any(0)
    at = may_be_free.nonzero()[:, 0]
    free = ~left[..., at]
    if ports.conducts is not None:
        sensed = ports.pieces.sensed(device)
        live_rows, live_cols = connected(ports.conducts[:, None], left | right, sensed)
        free = torch.cat((free & live_rows[..., at], live_cols[..., ~sensed]), -1)
        at = torch.cat((at, rows + (~sensed).nonzero()[:, 0]))
    port = torch.where(at < rows, ports.ports("L").start, ports.ports("B").start - rows) + at
    driven = voltage * left[..., None, :]
    pulled = -_along(driven, ports.h[:, ports.ports("L"), port]) * free[..., None, :]
    system = _between(ports.h[:, port[:, None], port], free, free) + _unit(~free, driven)
    current = None
    if not ports.two_ended:
        v = _cholesky_solve(*_cholesky(system), pulled.mT).mT
    else:
        factor, scale = _cholesky(
            _between(-ports.part("R", "R"), right, right) + _unit(~right, driven)
        )
        passed = scale[..., None] * _between(-ports.h[:, ports.ports("R"), port], right, free)
        passed = torch.linalg.solve_triangular(factor, passed, upper=False)
        lacking = voltage - driven + _along(driven, ports.missing().mT)
        lacking = scale[..., None] * (lacking * right[..., None, :]).mT
        lacking = torch.linalg.solve_triangular(factor, lacking, upper=False)
        system = system + passed.mT @ passed
        v = _cholesky_solve(*_cholesky(system), pulled.mT + passed.mT @ lacking)
        v = torch.where(free[..., None], v, torch.zeros_like(v))
        flow = torch.linalg.solve_triangular(factor.mT, lacking - passed @ v, upper=True)
        v, current = v.mT, (scale[..., None] * flow).mT
    v = torch.where(free[..., None, :], v, torch.zeros_like(v))
    ends = rows if ports.conducts is None else rows + cols
    out = torch.nn.functional.pad(driven, (0, ends - rows))
    return out.index_add(-1, at, v), current


def _along(x: Tensor, matrix: Tensor) -> Tensor:
    """Multiply x, (tile, pattern, drive, k), by a matrix (tile, k, l)."""
    return (x.flatten(1, 2) @ matrix).reshape(*x.shape[:-1], matrix.shape[-1])


def _between(matrix: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """Return a (tile, k, l) matrix for each pattern, zero outside the chosen rows and columns."""
    kept = rows[..., :, None] & cols[..., None, :]
    return torch.where(kept, matrix[:, None], torch.zeros_like(matrix[:, None]))


def _unit(places: Tensor, like: Tensor) -> Tensor:
    return torch.diag_embed(places.to(like.dtype))


def _cholesky(a: Tensor) -> tuple[Tensor, Tensor]:
    """Return the Cholesky factor of a symmetric matrix scaled to a unit diagonal, and the scale.

    A row whose diagonal is zero is replaced by that of the unit matrix.
    """
    diagonal = a.diagonal(dim1=-2, dim2=-1)
    empty = diagonal <= 0
    scale = torch.where(empty, torch.ones_like(diagonal), diagonal).rsqrt()
    scaled = scale[..., :, None] * a * scale[..., None, :]
    return torch.linalg.cholesky(scaled + torch.diag_embed(empty.to(a.dtype))), scale


def _cholesky_solve(factor: Tensor, scale: Tensor, rhs: Tensor) -> Tensor:
    return scale[..., None] * torch.cholesky_solve(scale[..., None] * rhs, factor)
