"""Commands, one module per command or group: each parses, calls the library and prints."""

__all__: list[str] = []
