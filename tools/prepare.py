"""First half of `make test`: write the notebooks that nbval executes into build/test/fast.

That is every lesson in the fast profile on the CPU, parameters injected by papermill, stored outputs kept, so that
nbval can compare them. The kernels' runs folder is build/test/runs, empty at the start and shared, so that a model
which one lesson has trained is loaded by the next.
"""

import os
import shutil
import sys
from pathlib import Path

from tools import lesson_format as fmt
from tools.lesson_format import Lesson

FOLDER = fmt.ROOT / "build" / "test"
REAL_FILE = "kermany_oct_real.npz"


def real_scans() -> Path | None:
    """The file with real scans: $COURSE_REAL_DATA (the file or its folder), else ../shared/data; None if none."""
    places = [os.environ.get("COURSE_REAL_DATA", ""), fmt.ROOT.parent / "shared" / "data", fmt.ROOT / "shared" / "data"]
    for place in map(Path, filter(None, places)):
        for path in (place, place / REAL_FILE):
            if path.is_file():
                return path.resolve()
    return None


def with_colab(lesson: Lesson) -> bool:
    """Whether a lesson meets real scans in its run as in Colab: to export, serve and watch, any scans will do."""
    return lesson.course["part"] == "Deploy"


def status() -> str:
    """One line on whether the lessons will be run on real scans."""
    found = real_scans()
    if found:
        return f"real scans: {found.name} found, every lesson runs on them too (smoke profile)"
    return f"real scans: none here ({REAL_FILE} in $COURSE_REAL_DATA or ../shared/data), so no lesson is run on them"


def prepare(lesson: Lesson, folder: Path, parameters: dict[str, str], compare: bool) -> Path:
    """Write a copy of the lesson with parameters injected; without `compare` its outputs and checks are dropped."""
    import papermill

    target = folder / f"{lesson.slug}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    known = {"prepare_only": True, "progress_bar": False, "kernel_name": "python3", "language": "python"}
    papermill.execute_notebook(str(lesson.path), str(target), parameters, **known)
    copy = Lesson(target)
    for cell in copy.code:
        if not compare:
            cell["outputs"], cell["execution_count"] = [], None
            cell["metadata"]["tags"] = [tag for tag in fmt.tags(cell) if tag != "nbval-check-output"]
    fmt.save_notebook(target, copy.notebook)
    return target


def main() -> int:
    """Write the notebooks. Returns the exit status."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "runs").mkdir(parents=True)
    for lesson in fmt.lessons():
        prepare(lesson, FOLDER / "fast", {"PROFILE": "fast", "DEVICE": "cpu"}, compare=True)
    print(f"prepared {len(fmt.lessons())} lessons in build/test · {status()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
