"""Training networks."""

from rramfit.training.plain import train_plain

__all__ = ["train_plain"]
