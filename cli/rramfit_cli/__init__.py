"""The `rramfit` command: parses options, calls the library and prints results."""

__all__: list[str] = []
