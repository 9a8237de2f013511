"""From measured resistive-memory arrays to a model card, and from the card to neural networks."""

__all__: list[str] = []
