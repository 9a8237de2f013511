"""What the errors on a card mean: comparing two cards, and drawing a card within its errors.

In: cards with standard errors and intervals. Out: which parameters of two cards differ by more than
their errors allow, and other cards that the same data would allow.

Not here: how errors are estimated (`rramfit.fitting`).
"""

from rramfit.card.uncertainty.comparison import CardComparison, compare_cards
from rramfit.card.uncertainty.draw import draw_card

__all__ = ["CardComparison", "compare_cards", "draw_card"]
