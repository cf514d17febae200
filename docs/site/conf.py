"""How Sphinx turns the course into pages. `make site` (tools/site.py) prepares the files and calls it."""

import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util import logging

project = html_title = "The Modelling Loop"
author = "The Modelling Loop contributors"
copyright = "The Modelling Loop contributors; code MIT, text and figures CC BY 4.0"
language = "en"
extensions = ["myst_nb"]

SIZED = re.compile(r"(\\[bB]igg?[lr]?\s*(?:\\.|[^\\\s]))(?=[\^_])")  # a bracket made big that carries an exponent

nb_execution_mode = "off"  # the stored outputs are what is shown
nb_merge_streams = True
nb_ipywidgets_js = {}  # its default loads scripts from elsewhere
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
smartquotes = False
suppress_warnings = [
    "myst.header",
    "misc.highlighting_failure",
]  # matters of taste; every other warning stops `make site`

html_theme = "furo"
html_math_renderer = "mathml"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_show_sourcelink = html_copy_source = False
html_show_search_summary = False  # it fetches pages, which browsers refuse for files
html_use_index = False
pygments_style, pygments_dark_style = "a11y-high-contrast-light", "a11y-high-contrast-dark"


def formula(translator, node):
    """Write a formula as MathML, which browsers draw by themselves, without a script and its fonts."""
    display = "block" if isinstance(node, nodes.math_block) else "inline"
    tex = SIZED.sub(r"{\1}", node.astext())  # in braces, or browsers draw it small
    drawn = convert(re.sub(r"\\arg(?![a-z])", r"\\operatorname{arg}", tex), display=display)
    if left := re.search(r"(?:\\|&#x0*5C;)[A-Za-z]+", drawn):  # a warning stops `make site`
        logging.getLogger(__name__).warning("a formula has %s, which nobody can draw", left[0], location=node)
    translator.body.append(drawn)
    raise nodes.SkipNode


def anchor_cells(app, doctree):
    """Give each code cell of a lesson its id as an anchor: `notebooks/05_baseline.html#cell-floor`."""
    anchors = app.env.metadata[app.env.docname].setdefault("myst_slugs", {})
    for cell in doctree.findall(lambda node: isinstance(node, nodes.Element) and node.get("nb_element") == "cell_code"):
        if anchor := cell["cell_metadata"].get("anchor"):
            cell["ids"].append(anchor)
            anchors[anchor] = (0, anchor, anchor)


def setup(app):
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", inline_renderers=(formula, None), block_renderers=(formula, None))
    app.connect("doctree-read", anchor_cells)
