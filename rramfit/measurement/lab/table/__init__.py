"""Rows of a log, interpreted: their cells, and the groups of a measurement that they belong to.

`quantity_parts` and `group_parts` are the parts of a layout file; every other module reads rows.
Input are blocks of rows (`rramfit.measurement.lab.tables`); `rramfit.measurement.lab.from_table`
runs all groups over a log. File formats and encodings are not here.
"""

__all__: list[str] = []
