"""A made-up lesson of four code cells, to try the tools on without waiting for a real one."""

from pathlib import Path

import nbformat

from tools.lesson_format import Lesson

PARAMETERS = 'PROFILE = "fast"\nDATASET = "oct-phantom"\nDEVICE = "auto"\nSEED = 0'
CLAIM = 'print("✓ one is one: at least 1 (measured 1)")\nprint("· later: not judged in the smoke profile (measured 2)")'
FIGURE = "import matplotlib.pyplot as plt\nfigure, ax = plt.subplots(figsize=(1, 1))\nax.plot([0, 1])\nplt.show()"


def small_lesson(folder: Path, slug: str, *bodies: str, alt: str = "A line that rises from the left.") -> Lesson:
    """Write `folder/slug.ipynb`: title, parameters, then one code cell a body."""
    cells = [nbformat.v4.new_markdown_cell(f"# What is {slug}?", id="title")]
    cells.append(nbformat.v4.new_code_cell(PARAMETERS, id="parameters", metadata={"tags": ["parameters"]}))
    for number, body in enumerate(bodies):
        cells.append(nbformat.v4.new_code_cell(body, id=f"body-{number}", metadata={"course": {"alt": alt}}))
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["course"] = {"question": f"What is {slug}?", "minutes_cpu": 1, "concepts": [], "part": "Start"}
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / f"{slug}.ipynb")
    return Lesson(folder / f"{slug}.ipynb")
