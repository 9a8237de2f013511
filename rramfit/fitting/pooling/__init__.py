"""Pooling: what several arrays tell that one cannot.

In: cards of several arrays with their lot, wafer and die. Out: for each parameter the variance
between lots, wafers, dies and arrays, the shrunk value of each array, prediction intervals of a new
array, and a pooled card whose `between` states how much arrays differ; the trend over time.

Not here: the comparison of two cards (`rramfit.card.uncertainty.comparison`).
"""

from rramfit.fitting.pooling.pool import Pool, PooledParameter, pool_cards
from rramfit.fitting.pooling.pooled_card import pooled_card

__all__ = ["Pool", "PooledParameter", "pool_cards", "pooled_card"]
