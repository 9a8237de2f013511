"""Commands that plan and judge a measurement: its size, patterns for the wires, gauge study."""

from rramfit_cli.commands.plans.gauge import gauge
from rramfit_cli.commands.plans.plan import plan
from rramfit_cli.commands.plans.plan_lines import plan_lines

__all__ = ["gauge", "plan", "plan_lines"]
