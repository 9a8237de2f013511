"""Pulse response: potentiation and depression by equal pulses.

Input: `/pulses`. Output: runs of pulses of one polarity (`runs`), the form of their course
(`forms`) as it predicts readings held out (`heldout`), and the mean and spread of its parameters
over devices and cycles (`spread`, `response`).

Not here: pulses of write and verify (`rramfit.fitting.failure.effort`).
"""

from rramfit.fitting.electrical.pulses.response import PulseFit, fit_pulse_response

__all__ = ["PulseFit", "fit_pulse_response"]
