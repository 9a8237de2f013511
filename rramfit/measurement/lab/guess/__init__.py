"""Drafts of layout files, guessed from the content of a log or a file of arrays.

Input: a file of any format that `convert` reads. Output: the text of a layout file, whose comments
say what each column was taken for and why, what was left out, and what is assumed. A draft takes
seconds whatever the size of the file.
"""

from rramfit.measurement.lab.guess.guess import GROUP_NAMES, guess_layout

__all__ = ["GROUP_NAMES", "guess_layout"]
