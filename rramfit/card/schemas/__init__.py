"""The published JSON Schemas of cards, one file a version, and the steps between versions.

A step leads from one version to its neighbour. `migrate` walks the chain.
"""

from rramfit.card.schemas.migration import Migrated, migrate, versions

__all__ = ["Migrated", "migrate", "versions"]
