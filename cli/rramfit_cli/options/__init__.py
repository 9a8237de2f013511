"""Options that several commands share, and the types that parse them."""

__all__: list[str] = []
