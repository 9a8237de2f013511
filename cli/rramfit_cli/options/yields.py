"""Option of commands that summarize a lot: what a good array is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rramfit.reporting.lots.compare import YieldLimit

__all__ = ["limits_of", "yield_option"]

_F = TypeVar("_F", bound=Callable[..., Any])


class _Limit(click.ParamType):  # type: ignore[type-arg]  # generic only in newer stubs
    name = "LIMIT"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> YieldLimit:
        from rramfit.errors import RramfitError
        from rramfit.reporting.lots.compare import YieldLimit

        if isinstance(value, YieldLimit):
            return value
        try:
            return YieldLimit.parse(str(value))
        except RramfitError as e:
            self.fail(str(e), param, ctx)


def yield_option(command: _F) -> _F:
    """Add the option `--yield-at` to a command that summarizes a lot."""
    return click.option(
        "--yield-at",
        "yield_at",
        type=_Limit(),
        multiple=True,
        help="Limit of a good array, for the yield of the lot: PARAMETER<=VALUE or "
        "PARAMETER>=VALUE, with the parameter's path on the card, as in 'levels[1].std<=2uS', or "
        "stuck, the share of stuck cells. Repeat it for several. Default: stuck<=0.01.",
    )(command)


def limits_of(given: tuple[YieldLimit, ...]) -> tuple[YieldLimit, ...]:
    """Return the limits of the command line, or the default ones."""
    from rramfit.reporting.lots.compare import DEFAULT_YIELD

    return given or DEFAULT_YIELD
