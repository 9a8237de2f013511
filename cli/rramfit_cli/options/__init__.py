"""Options that several commands share, and their types."""

__all__: list[str] = []
