"""Groups of commands that suggest a name for a mistyped one.

click (from 8.4 on) does this for options, and for commands that a group holds; here also for
commands that are imported when they are called.
"""

from __future__ import annotations

import difflib

import click

__all__ = ["SuggestingGroup"]


class SuggestingGroup(click.Group):
    """A group that answers an unknown command with the closest known ones."""

    group_class = type  # nested groups are of this class too

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments start with, or fail with a suggestion."""
        name = args[0]
        known = self.list_commands(ctx)
        if name not in known and not name.startswith("-") and not ctx.resilient_parsing:
            ctx.fail(f"No such command {name!r}.{_suggestion(name, known)}")
        return super().resolve_command(ctx, args)


def _suggestion(name: str, known: list[str]) -> str:
    typed = name.lower()
    close = [k for k in known if k.startswith(typed)] or difflib.get_close_matches(typed, known)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
