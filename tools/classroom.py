"""`make classroom DIR=…`: a ready nbgrader course in a new folder, one assignment a lesson, from notebooks/solutions.

The folder holds nbgrader_config.py and source/; nbgrader makes release/, submitted/, autograded/ and gradebook.db
beside them. Afterwards, in that folder: `nbgrader generate_assignment 00_start_here`.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tools import lesson_format as fmt

CONFIG = fmt.ROOT / "docs" / "instructor" / "nbgrader_config.py"
SOLUTIONS = fmt.NOTEBOOKS / "solutions"


def assignment(path: Path) -> str:
    """The text of one assignment: the solutions, with links into the repository made into addresses."""
    lesson = f"../{path.name}"
    return path.read_text(encoding="utf-8").replace(
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
    print(
        f"{len(names)} assignments in {folder}/source. Next:\n  cd {folder}\n  nbgrader generate_assignment {names[0]}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
