"""Reports: one self-contained HTML file for people."""

__all__: list[str] = []
