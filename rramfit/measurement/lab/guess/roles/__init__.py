"""Roles: what each column of a sample means in a measurement, the reason, and how sure that is.

Input: a sample of a table. Output: `Roles`. Which group the rows are is not decided here.
"""

from rramfit.measurement.lab.guess.roles.assign import assign_roles
from rramfit.measurement.lab.guess.roles.role import Role, Roles

__all__ = ["Role", "Roles", "assign_roles"]
