"""Sections of a draft, one module for each kind of group.

Input: a log with the roles of its columns. Output: the lines of the section, or None if the columns
that it needs are missing.
"""

from rramfit.measurement.lab.guess.sections.endurance import endurance_section
from rramfit.measurement.lab.guess.sections.iv import iv_section
from rramfit.measurement.lab.guess.sections.program import attempts_section, program_section
from rramfit.measurement.lab.guess.sections.pulses import pulses_section
from rramfit.measurement.lab.guess.sections.repeated import reads_section, retention_section

__all__ = [
    "attempts_section",
    "endurance_section",
    "iv_section",
    "program_section",
    "pulses_section",
    "reads_section",
    "retention_section",
]
