"""Likelihoods of the level families, with exact gradients, and their maxima."""

from rramfit.fitting.likelihood.contract import Likelihood
from rramfit.fitting.likelihood.johnson_su import JohnsonSULikelihood
from rramfit.fitting.likelihood.maximum import (
    Maximum,
    approach,
    maximise,
    refine,
    refit,
)
from rramfit.fitting.likelihood.mixture import MixtureLikelihood
from rramfit.fitting.likelihood.normal import LognormalLikelihood, NormalLikelihood
from rramfit.fitting.likelihood.points import Frame, Points, compress
from rramfit.fitting.likelihood.positive import GammaLikelihood, WeibullLikelihood
from rramfit.fitting.likelihood.readings import LevelReadings, collect_readings
from rramfit.fitting.likelihood.skew_normal import SkewNormalLikelihood
from rramfit.fitting.likelihood.student_t import StudentTLikelihood

__all__ = [
    "Frame",
    "GammaLikelihood",
    "JohnsonSULikelihood",
    "LevelReadings",
    "Likelihood",
    "LognormalLikelihood",
    "Maximum",
    "MixtureLikelihood",
    "NormalLikelihood",
    "Points",
    "SkewNormalLikelihood",
    "StudentTLikelihood",
    "WeibullLikelihood",
    "approach",
    "collect_readings",
    "compress",
    "maximise",
    "refine",
    "refit",
]
