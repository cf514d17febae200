"""notebooks/README.md, the page that `make lab` opens beside the first lesson; and `make lab` itself.

JupyterLab is told by a workspace of its own which tabs to open: no extension is needed, and the learner's other
workspaces stay as they are.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from itertools import groupby
from pathlib import Path

from tools import lesson_format as fmt
from tools.lesson_format import Lesson

PAGE = "notebooks/README.md"
WORKSPACE = "modelling-loop"
HEAD = """\
# The Modelling Loop

A course that you run. Open a lesson below and press *Shift + Enter* from top to bottom, or *Run → Run All Cells*. The
list symbol at the left edge shows the table of contents of the lesson that is open.

Each lesson runs alone and in any order; in order they tell one story. `make progress` in a terminal shows which lessons
and exercises are done on this machine.
"""
FOOT = """
Words that the course uses, in English and Korean: [glossary](../docs/GLOSSARY.md). Which cell shows which idea:
[index of ideas](../docs/CONCEPTS.md). When something does not work: [README](../README.md).
"""


def page(lessons: list[Lesson]) -> str:
    """The launcher page: the lessons by part, with their exercises."""
    parts = [HEAD]
    for part, members in groupby(lessons, key=lambda lesson: lesson.course["part"]):
        rows = [row(lesson) for lesson in members]
        head = "| Lesson | The question it answers | Runs in | |\n|---|---|---|---|"
        parts.append("\n".join([f"## {part}\n", head, *rows, ""]))
    return "\n".join(parts) + FOOT


def row(lesson: Lesson) -> str:
    """One line of the table: the lesson, and its exercises where it has some."""
    exercises = lesson.path.parent / "exercises" / lesson.path.name
    link = f"[exercises](exercises/{lesson.path.name})" if exercises.exists() else ""
    minutes = fmt.minutes_in_words(lesson.course["minutes_cpu"])
    return f"| [{lesson.slug}]({lesson.path.name}) | {lesson.course['question']} | {minutes} | {link} |"


def workspace(first: str) -> dict:
    """A JupyterLab workspace with the launcher page and the notebook `first` open, the page in front."""
    tabs = {
        f"markdownviewer-widget:{PAGE}": {"path": PAGE, "factory": "Markdown Preview"},
        f"notebook:{first}": {"path": first, "factory": "Notebook"},
    }
    dock = {"type": "tab-area", "currentIndex": 0, "widgets": list(tabs)}
    layout = {"main": {"dock": dock, "current": next(iter(tabs))}}
    opened = {"layout-restorer:data": layout} | {name: {"data": data} for name, data in tabs.items()}
    return {"data": opened, "metadata": {"id": WORKSPACE}}


def main(arguments: list[str] | None = None) -> int:
    """`make lab`: import the workspace, then hand over to JupyterLab. Returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="make lab", description="Open JupyterLab at the launcher page and the first lesson."
    )
    parser.add_argument("options", nargs="*", help="passed on to jupyter lab, after --")
    options = parser.parse_args(arguments).options
    jupyter = [sys.executable, "-m", "jupyter", "lab"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "workspace.json"
        file.write_text(json.dumps(workspace(f"notebooks/{fmt.lessons()[0].path.name}")), encoding="utf-8")
        subprocess.run([*jupyter, "workspaces", "import", str(file)], check=True, capture_output=True)
    settings = [f"--ServerApp.root_dir={fmt.ROOT}", f"--LabApp.default_url=/lab/workspaces/{WORKSPACE}"]
    from jupyterlab.labapp import LabApp  # in this process: whoever ends it ends the server and its kernels, too

    return LabApp.launch_instance([*settings, *options]) or 0


if __name__ == "__main__":
    sys.exit(main())
