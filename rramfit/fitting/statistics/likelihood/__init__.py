"""Likelihoods of the level families with exact gradients, and their maximisation."""

from rramfit.fitting.statistics.likelihood.contract import Likelihood
from rramfit.fitting.statistics.likelihood.johnson_su import JohnsonSULikelihood
from rramfit.fitting.statistics.likelihood.location_scale import LocationScaleLikelihood
from rramfit.fitting.statistics.likelihood.maximum import (
    Maximum,
    approach,
    maximise,
    refine,
    refit,
)
from rramfit.fitting.statistics.likelihood.mixture import MixtureLikelihood
from rramfit.fitting.statistics.likelihood.normal import LognormalLikelihood, NormalLikelihood
from rramfit.fitting.statistics.likelihood.points import Frame, Points, compress
from rramfit.fitting.statistics.likelihood.positive import GammaLikelihood, WeibullLikelihood
from rramfit.fitting.statistics.likelihood.readings import LevelReadings, collect_readings
from rramfit.fitting.statistics.likelihood.skew_normal import SkewNormalLikelihood
from rramfit.fitting.statistics.likelihood.student_t import StudentTLikelihood

__all__ = [
    "Frame",
    "GammaLikelihood",
    "JohnsonSULikelihood",
    "LevelReadings",
    "Likelihood",
    "LocationScaleLikelihood",
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
