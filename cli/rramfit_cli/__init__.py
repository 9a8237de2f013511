"""The `rramfit` command: parses, calls the library, prints."""

__all__: list[str] = []
