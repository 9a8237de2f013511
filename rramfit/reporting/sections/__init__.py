"""Sections of the report of one array: text, figures and tables on one subject each.

Input: a card and the data of its figures. Output: `Section`s.

Not here: which report has which sections (`rramfit.reporting.characterization` and the other
reports).
"""

__all__: list[str] = []
