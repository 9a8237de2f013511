"""The contract of the measurement file as data, the checks of values by it, and its documentation.

`rules` says what can be required of a group, dataset or attribute; `array_groups` and `cell_groups`
require it, and `groups` lists all of it. Reading, validation, writing and the documentation use
this list, so they cannot differ.
"""

__all__: list[str] = []
