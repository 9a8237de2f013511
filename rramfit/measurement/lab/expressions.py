"""Cell addresses as integer arithmetic, such as ``row = "addr >> 8"``.

An expression consists of column names, integers, parentheses and the operators
+ - * // % << >> & | ^. Its syntax tree is interpreted here; it never runs as Python code.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.lab.layout_parts import LayoutError

__all__ = ["column_names", "evaluate"]

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
_EXPECTED = "integer arithmetic with column names and + - * // % << >> & | ^"


def column_names(expression: str) -> frozenset[str]:
    """Return the column names in an expression.

    Raises
    ------
    LayoutError
        If the expression is not integer arithmetic with column names.

    Examples
    --------
    >>> sorted(column_names("(addr & 255) // 2"))
    ['addr']
    """
    found: set[str] = set()
    _walk(_parse(expression), expression, found.add)
    return frozenset(found)


def evaluate(expression: str, columns: Mapping[str, Integers]) -> Integers:
    """Evaluate an expression for columns of integers.

    Parameters
    ----------
    expression : str
    columns : mapping of str to (n,) int arrays

    Returns
    -------
    (n,) int array; 0-d if the expression contains no column name.

    Examples
    --------
    >>> evaluate("addr >> 8", {"addr": np.array([255, 256, 65535])})
    array([  0,   1, 255])
    """

    def value_of(node: ast.expr) -> Integers:
        if isinstance(node, ast.BinOp):
            return _OPERATORS[type(node.op)](value_of(node.left), value_of(node.right))
        if isinstance(node, ast.UnaryOp):
            return np.asarray(-value_of(node.operand))
        if isinstance(node, ast.Name):
            return columns[node.id]
        return np.asarray(node.value, dtype=np.int64)  # type: ignore[attr-defined]

    tree = _parse(expression)
    _walk(tree, expression, lambda _: None)
    return np.asarray(value_of(tree), dtype=np.int64)


def _parse(expression: str) -> ast.expr:
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except SyntaxError:
        raise LayoutError(found=repr(expression), expected=_EXPECTED) from None


def _walk(node: ast.expr, expression: str, see: Callable[[str], object]) -> None:
    """Call `see` with every column name; raise if the tree is not integer arithmetic."""
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        _walk(node.left, expression, see)
        _walk(node.right, expression, see)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        _walk(node.operand, expression, see)
    elif isinstance(node, ast.Name):
        see(node.id)
    elif not (isinstance(node, ast.Constant) and type(node.value) is int):
        raise LayoutError(found=repr(expression), expected=_EXPECTED)
