"""The model card: its schema, its one spelling and digest, its families and its sidecar."""

__all__: list[str] = []
