"""Worked examples: a small vision transformer on digits, a small language model on English text.

Commands, with E = rramfit.mapping.study.examples:

    rramfit train E:vision_transformer -o vit.pt
    rramfit train E:language_model --data E:text -o lm.pt
"""

from rramfit.mapping.study.examples.language import language_model, text
from rramfit.mapping.study.examples.vision import vision_transformer

__all__ = ["language_model", "text", "vision_transformer"]
