"""Arithmetic with columns, such as ``row = "addr >> 8"`` or ``column = "(v1 - v2) / 1000"``.

An expression consists of column names, numbers, parentheses, the operators
+ - * / // % ** << >> & | ^ and the functions abs, sqrt, exp, log, log10, floor, round, min, max.
A column name that is not a plain word is written in backticks: ``"`R (kohm)` * 1000"``. The syntax
tree is interpreted here; it never runs as Python code. A result that is not defined is NaN.
"""

from __future__ import annotations

import ast
import functools
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.lab.layout_parts import LayoutError

__all__ = ["column_names", "evaluate", "quoted_name"]

Numbers = NDArray[Any]  # int64 or float64
_Operator = Callable[[Numbers, Numbers], Any]

_MOST_CHARACTERS = 1000


def _undefined_at_zero(apply: _Operator) -> _Operator:
    """Return NaN instead of NumPy's 0 where an integer is divided by 0."""

    def divide(a: Numbers, b: Numbers) -> Any:
        return apply(a, np.where(b == 0, np.nan, b)) if np.any(b == 0) else apply(a, b)

    return divide


def _of_integers(apply: _Operator, *, shift: bool = False) -> _Operator:
    """Apply an operator of integers; NaN where an operand is none, or a shift is not 0 to 63."""

    def combine(a: Numbers, b: Numbers) -> Any:
        valid: NDArray[np.bool_] = np.asarray(True)
        whole: list[Numbers] = []
        for x in (a, b):
            if x.dtype.kind == "f":
                integer = np.isfinite(x) & (x == np.floor(x)) & (np.abs(x) < 2.0**63)
                valid = valid & integer
                whole.append(np.where(integer, x, 0).astype(np.int64))
            else:
                whole.append(x)
        if shift:
            valid = valid & (whole[1] >= 0) & (whole[1] < 64)
        if np.all(valid):
            return apply(whole[0], whole[1])
        return np.where(valid, apply(whole[0], np.where(valid, whole[1], 0)), np.nan)

    return combine


def _power(a: Numbers, b: Numbers) -> Any:
    return np.power(a.astype(np.float64), b)


_INTEGER_OPERATORS: Mapping[type[ast.operator], _Operator] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: _undefined_at_zero(operator.floordiv),
    ast.Mod: _undefined_at_zero(operator.mod),
    ast.LShift: _of_integers(operator.lshift, shift=True),
    ast.RShift: _of_integers(operator.rshift, shift=True),
    ast.BitAnd: _of_integers(operator.and_),
    ast.BitOr: _of_integers(operator.or_),
    ast.BitXor: _of_integers(operator.xor),
}
_OPERATORS: Mapping[type[ast.operator], _Operator] = {
    **_INTEGER_OPERATORS,
    ast.Div: operator.truediv,
    ast.Pow: _power,
}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": np.abs,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "log10": np.log10,
    "floor": np.floor,
    "round": np.round,
}
_FOLDS: Mapping[str, _Operator] = {"min": np.minimum, "max": np.maximum}
_INTEGER = "integer arithmetic with column names and + - * // % << >> & | ^"
_ANY = (
    "arithmetic with column names, numbers, + - * / // % ** << >> & | ^ and "
    f"{', '.join([*_FUNCTIONS, *_FOLDS])}; a name that is not a plain word is written in "
    "`backticks`"
)


def column_names(expression: str, *, integer: bool = True) -> frozenset[str]:
    """Return the column names in an expression.

    Parameters
    ----------
    expression : str
    integer : bool
        Whether only integer arithmetic is allowed, as for addresses.

    Raises
    ------
    LayoutError
        If the expression is not such arithmetic.

    Examples
    --------
    >>> sorted(column_names("(addr & 255) // 2 + `R (kohm)`"))
    ['R (kohm)', 'addr']
    """
    tree, names = _parse(expression, integer=integer)
    found: set[str] = set()
    _walk(tree, expression, lambda n: found.add(names.get(n, n)), integer=integer)
    return frozenset(found)


def evaluate(expression: str, columns: Mapping[str, Numbers]) -> Numbers:
    """Evaluate an expression for columns of numbers.

    Parameters
    ----------
    expression : str
    columns : mapping of str to (n,) int or float arrays

    Returns
    -------
    (n,) array; 0-d if the expression contains no column name. Integers give integers, except for
    ``/``, ``**`` and functions. NaN where the result is not defined.

    Examples
    --------
    >>> evaluate("addr >> 8", {"addr": np.array([255, 256, 65535])})
    array([  0,   1, 255])
    """
    tree, names = _parse(expression, integer=False)
    _walk(tree, expression, lambda _: None, integer=False)

    def value_of(node: ast.expr) -> Numbers:
        if isinstance(node, ast.BinOp):
            left, right = value_of(node.left), value_of(node.right)
            return np.asarray(_OPERATORS[type(node.op)](left, right))
        if isinstance(node, ast.UnaryOp):
            return np.asarray(-value_of(node.operand))
        if isinstance(node, ast.Call):
            function = node.func.id  # type: ignore[attr-defined]
            operands = [value_of(a) for a in node.args]
            if function in _FOLDS:
                return np.asarray(functools.reduce(_FOLDS[function], operands))
            return np.asarray(_FUNCTIONS[function](operands[0].astype(np.float64)))
        if isinstance(node, ast.Name):
            return np.asarray(columns[names.get(node.id, node.id)])
        return np.asarray(node.value)  # type: ignore[attr-defined]

    with np.errstate(all="ignore"):
        result = value_of(tree)
        return np.where(np.isinf(result), np.nan, result) if result.dtype.kind == "f" else result


def quoted_name(name: str) -> str:
    """Return a column name as it is written in an expression."""
    return name if name.isidentifier() else f"`{name}`"


def _parse(expression: str, *, integer: bool) -> tuple[ast.expr, dict[str, str]]:
    """Return the syntax tree, and the names in backticks by their placeholders in it."""
    names: dict[str, str] = {}

    def placeholder(match: re.Match[str]) -> str:
        name = f"_quoted{len(names)}"
        names[name] = match.group(1)
        return f" {name} "

    text = re.sub(r"`([^`]+)`", placeholder, expression).strip()
    try:
        tree = ast.parse(text if len(text) <= _MOST_CHARACTERS else "", mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise LayoutError(
            found=repr(expression[:60]), expected=_INTEGER if integer else _ANY
        ) from None
    return tree.body, names


def _walk(node: ast.expr, expression: str, see: Callable[[str], object], *, integer: bool) -> None:
    """Call `see` with every column name; raise if the tree is not arithmetic."""
    inner: Sequence[ast.expr] | None = None
    if isinstance(node, ast.BinOp):
        if type(node.op) in (_INTEGER_OPERATORS if integer else _OPERATORS):
            inner = (node.left, node.right)
    elif isinstance(node, ast.UnaryOp):
        if isinstance(node.op, ast.USub):
            inner = (node.operand,)
    elif isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if (
            not integer
            and not node.keywords
            and ((name in _FUNCTIONS and len(node.args) == 1) or (name in _FOLDS and node.args))
        ):
            inner = node.args
    elif isinstance(node, ast.Name):
        see(node.id)
        inner = ()
    elif isinstance(node, ast.Constant):
        number = node.value
        if isinstance(number, bool):
            inner = None
        elif isinstance(number, int):
            inner = () if abs(number) < 2**63 else None
        elif isinstance(number, float) and not integer:
            inner = ()
    if inner is None:
        raise LayoutError(found=repr(expression[:60]), expected=_INTEGER if integer else _ANY)
    for part in inner:
        _walk(part, expression, see, integer=integer)
