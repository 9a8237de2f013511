"""`rramfit card`: one module per family of its commands."""

from rramfit_cli.commands.card.group import card

__all__ = ["card"]
