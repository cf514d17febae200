"""`make student`: write the student edition of the exercises, notebooks/exercises, from notebooks/solutions.

The solutions are notebooks in nbgrader's format, and nbgrader's own steps take the answers and the hidden tests out, so
that a class gets what a lone learner gets. With `--check` nothing is written, and the exit status is 1 when an edition
is out of date.
"""

import argparse
import sys
from pathlib import Path

import nbformat
from nbgrader.preprocessors import ClearHiddenTests, ClearOutput, ClearSolutions
from traitlets.config import Config

from tools import lesson_format as fmt

STUB = "...  # your turn"
STEPS = (ClearSolutions, ClearHiddenTests, ClearOutput)


def student_edition(path: Path) -> str:
    """The student's notebook for one file of solutions, as text. ValueError naming the file when it cannot be."""
    notebook = nbformat.read(path, as_version=4)
    config = Config({"ClearSolutions": {"code_stub": {"python": STUB}, "text_stub": "*Your answer.*"}})
    try:
        for step in STEPS:
            notebook, _ = step(config=config).preprocess(notebook, {})
    except RuntimeError as error:
        raise ValueError(f"{path.name}: {error}") from error
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = without_idle_stub(cell.source)
    nbformat.validate(notebook)
    return fmt.notebook_text(notebook)


def without_idle_stub(code: str) -> str:
    """A cell's code without the stub at its end where names above hold dots already, which are to be replaced."""
    above, stub, below = code.rpartition(f"\n{STUB}")
    return above if stub and not below.strip() and "..." in above else code


def stale_editions(root: Path = fmt.NOTEBOOKS) -> dict[Path, str | None]:
    """Every file of the student edition that is not as it should be, with its right text (None: it should not be)."""
    wanted = {
        root / "exercises" / path.name: student_edition(path) for path in sorted((root / "solutions").glob("*.ipynb"))
    }
    stale = {path: text for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text}
    return stale | {path: None for path in (root / "exercises").glob("*.ipynb") if path not in wanted}


def main(arguments: list[str] | None = None) -> int:
    """Command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="make student", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when an edition is out of date")
    check = parser.parse_args(arguments).check
    stale = stale_editions()
    for path, text in stale.items():
        print(f"{'out of date (run `make student`)' if check else 'written'}: {path.relative_to(fmt.ROOT)}")
        if check:
            continue
        if text is None:
            path.unlink()
            continue
        fmt.save_text(path, text)
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
