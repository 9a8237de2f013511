"""Numbers of optional parts of a card, 0 where the card has none."""

from __future__ import annotations

from pydantic import BaseModel

from rramfit.card.quantity import Quantity

__all__ = ["value_of"]


def value_of(part: BaseModel | None, name: str) -> float:
    """Return the value of a quantity of a part of a card; 0 if the part or the quantity is absent.

    Examples
    --------
    >>> value_of(None, "low")
    0.0
    """
    q = getattr(part, name, None)
    return q.value if isinstance(q, Quantity) else 0.0
