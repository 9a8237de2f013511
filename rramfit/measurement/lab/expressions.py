"""Addresses said as arithmetic: ``row = "addr >> 8"``.

An expression is whole-number arithmetic over the names of a log's columns: + - * // % << >> & | ^,
brackets and whole numbers, no more. It is walked, never evaluated as Python.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["evaluate", "names_in"]

Integers = NDArray[np.int64]

_OPERATORS: Mapping[type[ast.operator], Callable[[Integers, Integers], Integers]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}


def names_in(expression: str) -> frozenset[str]:
    """Names that an expression speaks of.

    Raises
    ------
    ValueError
        If it is no whole-number arithmetic over names.

    Examples
    --------
    >>> sorted(names_in("(addr & 255) // 2"))
    ['addr']
    """
    found: set[str] = set()
    _walk(_parse(expression), expression, found.add)
    return frozenset(found)


def evaluate(expression: str, columns: Mapping[str, Integers]) -> Integers:
    """Work out an expression over columns of whole numbers.

    Parameters
    ----------
    expression : str
    columns : mapping of str to (n,) int arrays

    Returns
    -------
    (n,) int array, or a 0-d one where the expression names no column.

    Examples
    --------
    >>> evaluate("addr >> 8", {"addr": np.array([255, 256, 65535])})
    array([  0,   1, 255])
    """

    def work_out(node: ast.expr) -> Integers:
        if isinstance(node, ast.BinOp):
            return _OPERATORS[type(node.op)](work_out(node.left), work_out(node.right))
        if isinstance(node, ast.UnaryOp):
            return np.asarray(-work_out(node.operand))
        if isinstance(node, ast.Name):
            return columns[node.id]
        return np.asarray(node.value, dtype=np.int64)  # type: ignore[attr-defined]

    tree = _parse(expression)
    _walk(tree, expression, lambda _: None)
    return np.asarray(work_out(tree), dtype=np.int64)


def _parse(expression: str) -> ast.expr:
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except SyntaxError:
        msg = f"{expression!r} is no arithmetic"
        raise ValueError(msg) from None


def _walk(node: ast.expr, expression: str, see: Callable[[str], object]) -> None:
    """Go through the tree and refuse what is not whole-number arithmetic."""
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        _walk(node.left, expression, see)
        _walk(node.right, expression, see)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        _walk(node.operand, expression, see)
    elif isinstance(node, ast.Name):
        see(node.id)
    elif not (isinstance(node, ast.Constant) and type(node.value) is int):
        msg = f"{expression!r}: only whole numbers, column names and + - * // % << >> & | ^"
        raise ValueError(msg)
