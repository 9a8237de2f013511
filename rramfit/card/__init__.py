"""The model card: schema, canonical form and digest, distribution families, per-cell sidecar."""

from rramfit.card.canonical import canonical_json, card_digest, save_card
from rramfit.card.cells import CellMaps, Fault, cells_bytes, load_cells, save_cells
from rramfit.card.conditions.levels_at import LevelAt, LevelsAt, levels_at
from rramfit.card.document import card_problems, json_schema, load_card, seal
from rramfit.card.families import FAMILIES, Family, family, register_family
from rramfit.card.level_choice import take_levels
from rramfit.card.quantity import Quantity, quantities
from rramfit.card.schema import SCHEMA_VERSION, ModelCard

__all__ = [
    "FAMILIES",
    "SCHEMA_VERSION",
    "CellMaps",
    "Family",
    "Fault",
    "LevelAt",
    "LevelsAt",
    "ModelCard",
    "Quantity",
    "canonical_json",
    "card_digest",
    "card_problems",
    "cells_bytes",
    "family",
    "json_schema",
    "levels_at",
    "load_card",
    "load_cells",
    "quantities",
    "register_family",
    "save_card",
    "save_cells",
    "seal",
    "take_levels",
]
