"""notebooks/README.md, the page that `make lab` opens beside the first lesson; and `make lab` itself.

JupyterLab is told by a workspace of its own which tabs to open: no extension is needed, and the learner's other
workspaces stay as they are.
"""

import argparse
import json
import os
import sys
import webbrowser
from itertools import groupby
from pathlib import Path

from tools import lesson_format as fmt
from tools.lesson_format import Lesson

PAGE = "notebooks/README.md"
WORKSPACE = "modelling-loop"
HEAD = """\
# The Modelling Loop

A course that you run. Start with [{first}]({first}.ipynb): press *Shift + Enter* from top to bottom, or *Run → Run
All Cells*. Then do its exercises, which check themselves. The list symbol at the left edge shows the contents of the
page that is open. *Ctrl + S* keeps what you wrote, and JupyterLab saves by itself every two minutes. *Ctrl + C* in the
terminal where you typed `make lab` ends it all.

Each lesson runs alone and in any order; in order they tell one story. `make progress`, in a terminal in the course's
folder, shows which lessons and exercises are done on this machine.

| Part | Lesson | The question it answers | Runs in | Exercises |
|---|---|---|---|---|
"""
FOOT = """
Words that the course uses, in English and Korean: [glossary](../docs/GLOSSARY.md). Which cell shows which idea:
[index of ideas](../docs/CONCEPTS.md). When something does not work: [README](../README.md).
"""


def page(lessons: list[Lesson]) -> str:
    """The launcher page: how to begin, then a table of the lessons and their exercises."""
    rows = [row(lesson, new) for _, part in groupby(lessons, key=part_of) for new, lesson in enumerate(part)]
    return HEAD.format(first=lessons[0].slug) + "\n".join(rows) + "\n" + FOOT


def part_of(lesson: Lesson) -> str:
    """The part of the course that a lesson belongs to."""
    return lesson.course["part"]


def row(lesson: Lesson, place: int) -> str:
    """One line of the table; the first lesson of a part names the part."""
    exercises = lesson.path.parent / "exercises" / lesson.path.name
    link = f"[exercises](exercises/{lesson.path.name})" if exercises.exists() else ""
    minutes, part = fmt.minutes_in_words(lesson.course["minutes_cpu"]), "" if place else part_of(lesson)
    return f"| {part} | [{lesson.slug}]({lesson.path.name}) | {lesson.course['question']} | {minutes} | {link} |"


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


def running() -> str | None:
    """The address of a JupyterLab that `make lab` has already started for this folder; None when there is none."""
    from jupyter_server.serverapp import list_running_servers

    return next(
        (
            f"{found['url']}lab/workspaces/{WORKSPACE}?token={found['token']}"
            for found in list_running_servers()
            if Path(found["root_dir"]) == fmt.ROOT
        ),
        None,
    )


def lay_out() -> None:
    """Give the workspace its tabs the first time; later it keeps what the learner has open."""
    from jupyterlab.commands import get_workspaces_dir
    from jupyterlab_server.workspaces_handler import WorkspacesManager

    spaces = WorkspacesManager(get_workspaces_dir())
    if not spaces.load(WORKSPACE)["data"]:
        spaces.save(WORKSPACE, json.dumps(workspace(f"notebooks/{fmt.lessons()[0].path.name}")))


def main(arguments: list[str] | None = None) -> int:
    """`make lab`: lay the tabs out, then hand over to JupyterLab. Returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="make lab", description="Open JupyterLab at the launcher page and the first lesson."
    )
    parser.add_argument("options", nargs="*", help="passed on to jupyter lab, after --")
    options = parser.parse_args(arguments).options
    if address := running():
        print(f"JupyterLab is running here already: {address}")
        webbrowser.open(address)
        return 0
    # Without a teacher's tools (nbgrader's "Validate" calls an unanswered notebook a success) and without news.
    ours = [str(fmt.ROOT / "tools" / "lab"), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, ours))
    lay_out()
    settings = [f"--ServerApp.root_dir={fmt.ROOT}", f"--LabApp.default_url=/lab/workspaces/{WORKSPACE}"]
    settings += ["--ServerApp.answer_yes=True"]  # one Ctrl-C ends it
    settings += ["--ServerApp.use_redirect_file=False"]  # a browser in a sandbox may not read that file
    print("Starting JupyterLab; it opens in your browser. Ctrl-C in this terminal ends it.", flush=True)
    from jupyterlab.labapp import LabApp  # in this process: whoever ends it ends the server and its kernels, too

    return LabApp.launch_instance([*settings, *options]) or 0


if __name__ == "__main__":
    sys.exit(main())
