"""Commands, one module per command or family: each parses, calls the library and prints."""

__all__: list[str] = []
