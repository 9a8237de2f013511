"""Plain files: tables of the parameters and levels, drawn chips, distributions.

Nothing is approximated here beyond what the sampler itself leaves out; no target program is needed.
"""

__all__: list[str] = []
