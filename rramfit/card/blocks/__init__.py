"""Blocks of the card, one module each, and the laws that they state.

Input: nothing but other parts of the card's schema. Output: classes of optional fields of
`rramfit.card.schema.ModelCard`, with pure functions of their parameters. Not here: any fit.
"""

__all__: list[str] = []
