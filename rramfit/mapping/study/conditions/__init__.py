"""Conditions of an accuracy: all settings, and every help with its cost.

In: a setup, its card, the mapped matrices. Out: tables for reports and JSON, warnings, and setups
without one help.
"""

from rramfit.mapping.study.conditions.helps import HELPS, Help, active_helps, without_help
from rramfit.mapping.study.conditions.table import Conditions, card_warnings, conditions_of

__all__ = [
    "HELPS",
    "Conditions",
    "Help",
    "active_helps",
    "card_warnings",
    "conditions_of",
    "without_help",
]
