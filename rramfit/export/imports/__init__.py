"""Device descriptions of other programs, read as cards of stated numbers.

One module for each format, with its `IMPORTER`.
"""

__all__: list[str] = []
