"""Measured sweeps: records, reading, checking, writing, virtual chips."""

__all__: list[str] = []
