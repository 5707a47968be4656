"""The build of the documentation: `make docs`, or `sphinx-build -E -W -c docs . build/docs`.

The source is the whole checkout, so that links between all Markdown pages, to their headings and to
files of the repository are checked. A broken one is an error, as is a public name that the
reference lacks.
"""

import importlib
import os
import re
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
_ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT), str(_ROOT / "docs")]

from command_flags import commands_as_markdown  # noqa: E402
from public_modules import PUBLIC_MODULES, public_names  # noqa: E402
from sphinx.util import logging  # noqa: E402

project = "keras_rkm"
author = "the authors of keras_rkm"
html_title = "keras_rkm"
html_theme = "alabaster"
highlight_language = "none"  # of blocks that name no language: formulas and tables
root_doc = "docs/index"
include_patterns = [
    "*.md",
    "benchmarks/README.md",
    "benchmarks/results/*/report.md",
    "docs/**",
    "examples/README.md",
]
exclude_patterns = ["build", "dist", ".venv", "saved_models"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

myst_heading_anchors = 5
# Of docstrings: `name` is code, as it is where they are read as plain text.
default_role = "code"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Input shape", "Output shape"]
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True, "show-inheritance": True}
add_module_names = False

_log = logging.getLogger(__name__)


def _insert_commands(app, name, source):
    if name == "docs/reference/commands":
        source[0] = source[0].replace("%commands%", commands_as_markdown())


def _check_reference(app, env):
    described = env.domaindata["py"]["objects"]
    for module in PUBLIC_MODULES:
        for name in public_names(importlib.import_module(module)):
            if f"{module}.{name}" not in described:
                _log.warning("the reference lacks %s.%s", module, name)


def _blocks_as_they_stand(app, what, name, object_, options, lines):
    """Makes what is indented after a blank line a literal block: formulas and tables."""
    shown, before = [], ""
    for line, above in zip(lines, ["", *lines], strict=False):
        is_block = line.strip() and not above.strip() and _indent(line) > _indent(before)
        if is_block and not re.match(r"[-*] |\d\.|\[|>>>", line.strip()):
            shown += [" " * _indent(before) + "::", ""]
        shown.append(line)
        before = line if line.strip() else before
    lines[:] = shown


def _indent(line):
    return len(line) - len(line.lstrip())


def setup(app):
    """Connects what the configuration adds to Sphinx."""
    # Before Napoleon, which turns sections into indented blocks.
    app.connect("autodoc-process-docstring", _blocks_as_they_stand, priority=400)
    app.connect("source-read", _insert_commands)
    app.connect("env-check-consistency", _check_reference)
