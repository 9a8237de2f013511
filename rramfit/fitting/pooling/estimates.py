"""Estimates of one parameter over several cards.

Only cards with the same levels are compared. Parameters of a distribution are compared over the
cards of the most frequent family (those of mixtures not at all), other parameters over the cards
with the same reference points as the first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rramfit.card.quantity import Quantity, quantities
from rramfit.card.schema import ModelCard
from rramfit.card.uncertainty.comparison import compare_cards
from rramfit.errors import FitError
from rramfit.fitting.comparison.level_matching import level_mismatch

__all__ = ["check_poolable", "common_estimates", "same_levels"]

_LEFT_OUT = ("domain.", "bits_per_cell")


def same_levels(cards: Sequence[ModelCard]) -> list[list[int]]:
    """Return the indices of cards that have the same levels, in groups, the largest first."""
    out: list[list[int]] = []
    for i, card in enumerate(cards):
        for group in out:
            if level_mismatch(cards[group[0]], card) is None:
                group.append(i)
                break
        else:
            out.append([i])
    return sorted(out, key=len, reverse=True)


def check_poolable(cards: Sequence[ModelCard]) -> None:
    """Check that cards can be compared.

    Raises
    ------
    FitError
        If there are fewer than two cards, two have one name, or their levels differ.
    """
    if len(cards) < 2:
        msg = f"{len(cards)} card cannot be pooled. Give the cards of at least two arrays."
        raise FitError(msg)
    twice = [name for name, count in Counter(c.name for c in cards).items() if count > 1]
    if twice:
        msg = f"Two cards are named {twice[0]}. Give the card of each array another name."
        raise FitError(msg)
    groups = same_levels(cards)
    if len(groups) > 1:
        listed = "; ".join(
            f"{', '.join(cards[i].name for i in group[:3])}{', …' if len(group) > 3 else ''}"
            for group in groups[:4]
        )
        msg = (
            f"The cards have {len(groups)} different sets of levels: {listed}. Pool each by itself."
        )
        raise FitError(msg)


def common_estimates(cards: Sequence[ModelCard]) -> dict[str, list[tuple[int, Quantity]]]:
    """Return the estimates of each parameter with the indices of their cards."""
    families = [
        tuple(x.distribution.family if x.distribution else "" for x in c.levels) for c in cards
    ]
    frequent = [
        Counter(f[k] for f in families).most_common(1)[0][0] for k in range(len(families[0]))
    ]
    found: dict[str, list[tuple[int, Quantity]]] = {}
    for i, card in enumerate(cards):
        other = set(compare_cards(cards[0], card).other_meaning) if i else set()
        for path, q in quantities(card):
            if not q.stderr or path.startswith(_LEFT_OUT):
                continue
            if ".distribution." in path:
                k = int(path.partition("[")[2].partition("]")[0])
                if families[i][k] != frequent[k] or frequent[k] == "mixture":
                    continue
            elif path in other:
                continue
            found.setdefault(path, []).append((i, q))
    return {p: e for p, e in found.items() if len(e) > 1 and len({q.unit for _, q in e}) == 1}
