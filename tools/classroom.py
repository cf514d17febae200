"""`make classroom DIR=…`: a ready nbgrader course in a new folder, one assignment a lesson, from notebooks/solutions.

The folder holds nbgrader_config.py and source/; nbgrader makes release/, autograded/, feedback/ and gradebook.db
beside them. What to type next is printed at the end.
"""

import argparse
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat

from tools import lesson_format as fmt

CONFIG = fmt.ROOT / "docs" / "instructor" / "nbgrader_config.py"
SOLUTIONS = fmt.NOTEBOOKS / "solutions"
# The last two cells count what was right on the machine they run on. In a class that is the grader's, and every
# learner's feedback would show how far the whole class has come.
OWN_PROGRESS = ("done", "progress")


def assignment(path: Path) -> str:
    """The text of one assignment: the solutions without the learner's own count, links made into addresses."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if cell.id not in OWN_PROGRESS]
    lesson = f"../{path.name}"
    return fmt.notebook_text(notebook).replace(
        f"({lesson})", f"({fmt.github_url()}/blob/{fmt.release_tag()}/notebooks/{path.name})"
    )


def make_classroom(folder: Path) -> list[str]:
    """Write the course into `folder`, which must be missing or empty; returns the assignments' names.

    Whole or not at all: it is made beside its place and moved there. Raises ValueError in one sentence.
    """
    if folder.is_file():
        raise ValueError(f"{folder} is a file; name a folder that is not there yet, or an empty one")
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty; name a folder that is not there yet, or an empty one")
    if file := next((above for above in folder.parents if above.is_file()), None):
        raise ValueError(f"{file} is a file, and no folder can be made in it")
    sources = sorted(SOLUTIONS.glob("*.ipynb"))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".classroom-") as temporary:
        made = Path(temporary) / "course"
        for path in sources:
            place = made / "source" / path.stem / path.name
            place.parent.mkdir(parents=True)
            place.write_text(assignment(path), encoding="utf-8")
        shutil.copy(CONFIG, made)
        os.replace(made, folder)
    return [path.stem for path in sources]


def next_steps(folder: Path, name: str) -> str:
    """What to type after the class is made, for the shell of this machine; nbgrader lies beside this Python."""
    programs = Path(sys.executable).parent
    if os.name == "nt":  # PowerShell
        enter = [f'& "{programs / "Activate.ps1"}"'] if (programs / "Activate.ps1").exists() else []
        lines = [*enter, f'cd "{folder}"']
    else:
        enter = [f"source {shlex.quote(str(programs / 'activate'))}"] if (programs / "activate").exists() else []
        lines = [*enter, f"cd {shlex.quote(str(folder))}"]
    return "".join(f"  {line}\n" for line in (*lines, f"nbgrader generate_assignment {name}"))


def main(arguments: list[str] | None = None) -> int:
    """Command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="make classroom", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="a folder that is not there yet, or an empty one")
    folder = parser.parse_args(arguments).folder
    if folder is None:
        print("make classroom: say where the class is to be made: make classroom DIR=../class", file=sys.stderr)
        return 2
    folder = folder.expanduser()
    try:
        names = make_classroom(folder)
    except (ValueError, OSError) as error:
        print(f"make classroom: {error}", file=sys.stderr)
        return 2
    print(f"{len(names)} assignments in {folder / 'source'}. Next:")
    print(next_steps(folder, names[0]), end="")
    print("Collecting, marks and feedback: docs/instructor/README.md, under Exercises, marks and progress.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
