"""Sections of the report of one array: text, figures and tables on one subject each.

In: a characterization or a card, and the data behind its figures. Out: `Section`s.

Not here: which report has which sections (`rramfit.reporting.characterization` and its neighbours).
"""

__all__: list[str] = []
