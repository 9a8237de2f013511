"""Sphinx configuration of the documentation; `make docs` builds it, with warnings as errors."""

import os
import sys
from pathlib import Path

_HERE = Path(__file__).parent
sys.path.insert(0, str(_HERE / "_extension"))
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # rramfit
os.environ["COLUMNS"] = "88"  # what a block of the page shows without scrolling
os.environ["IPYTHONDIR"] = str(_HERE / "_extension" / "ipython")  # stops on failing commands

project = "rramfit"
author = "the rramfit developers"
copyright = "the rramfit developers, Apache-2.0"  # noqa: A001 (Sphinx's name)
language = "en"

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx_click",
    "sphinx_copybutton",
    "reference_pages",
]
exclude_patterns = ["_build", "_extension"]
nitpicky = False

# Tutorials are notebooks in Markdown; they are executed when the site is built.
nb_execution_mode = "cache"
nb_execution_cache_path = str(_HERE.parent / "build" / "docs-notebooks")
nb_execution_timeout = 240
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]

autodoc_typehints = "none"  # numpydoc writes the types
autodoc_member_order = "alphabetical"
numpydoc_show_class_members = False
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "furo"
html_title = "rramfit"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
