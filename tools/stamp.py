"""`make stamp`: write what follows from pyproject.toml and the lessons' metadata into the files that repeat it.

The repository's address and the version are set once, in pyproject.toml. From them come the Colab badges and bootstrap
cells of lessons and solutions, the course map and clone command of the README, the index of ideas docs/CONCEPTS.md, the
launcher page notebooks/README.md, the minutes in docs/instructor/lessons.md, and two lines of CITATION.cff. With
`--check` nothing is written, and the exit status is 1 when a file is out of date.
"""

import argparse
import copy
import re
import sys
from pathlib import Path

from tools import concepts, launcher
from tools import lesson_format as fmt
from tools.lesson_format import Lesson


def stamped_notebook(lesson: Lesson) -> dict:
    """The notebook of a lesson, or of its solutions, with its badge and bootstrap cells as they should be."""
    notebook = copy.deepcopy(lesson.notebook)
    if lesson.path.parent.name == "solutions":
        badge = fmt.exercise_badge(lesson.slug)
    else:
        badge = fmt.badge_cell_source(lesson.slug, lesson.course.get("minutes_cpu", 1))
    texts = {"badge": badge, "bootstrap": fmt.bootstrap_source(fmt.serves(lesson))}
    for cell in notebook["cells"]:
        for tag in texts.keys() & set(fmt.tags(cell)):
            cell["source"] = texts[tag].splitlines(keepends=True)
        if "bootstrap" in fmt.tags(cell):  # it does nothing at home: JupyterLab folds it
            cell["metadata"]["jupyter"] = {"source_hidden": True}
    return notebook


def idea_range(concepts: list[str]) -> str:
    """`B1–B5` for five ids in a row; a single id as it is."""
    return "–".join(dict.fromkeys([concepts[0], concepts[-1]])) if concepts else ""


def course_map(lessons: list[Lesson]) -> str:
    """The README's table: a row a lesson."""
    head = "| Part | Lesson | The question it answers | Runs in | Ideas | |\n|---|---|---|---|---|---|"
    rows = [
        f"| {lesson.course['part']} | [`{lesson.slug}`](notebooks/{lesson.slug}.ipynb) | {lesson.course['question']} "
        f"| {fmt.minutes_in_words(lesson.course['minutes_cpu'])} | {idea_range(lesson.course['concepts'])} "
        f"| {fmt.badge_markdown(lesson.slug)} |"
        for lesson in lessons
    ]
    return "\n".join([head, *rows])


def clone_command() -> str:
    """How a reader gets the course: a shell block."""
    url = fmt.github_url()
    return f"```sh\ngit clone {url}\ncd {url.rsplit('/', 1)[1]}\n```"


def between(text: str, name: str, content: str) -> str:
    """`text` with what stands between the markers `<!-- name:begin -->` and `<!-- name:end -->` replaced.

    Raises ValueError when a marker is missing.
    """
    pattern = re.compile(rf"(<!-- {name}:begin[^>]*-->\n).*?(<!-- {name}:end -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"README.md lacks the markers <!-- {name}:begin --> and <!-- {name}:end -->.")
    return pattern.sub(lambda found: f"{found[1]}{content}\n{found[2]}", text)


def with_minutes(notes: str, lessons: list[Lesson]) -> str:
    """The notes for instructors with the minutes of each lesson's metadata under its heading."""
    minutes = "{minutes_teach} minutes to teach, {minutes_practise} to practise, {minutes_cpu} to compute"
    for lesson in lessons:
        place = rf"(?m)^(## {lesson.slug}\n\n.*\n\n).* to compute$"
        notes = re.sub(place, rf"\g<1>{minutes.format(**lesson.course)}", notes)
    return notes


def stamped_texts(root: Path, lessons: list[Lesson]) -> dict[Path, str]:
    """README.md, CITATION.cff, the index of ideas, the launcher page and the notes on lessons as they should be."""
    readme = between((root / "README.md").read_text(encoding="utf-8"), "course-map", course_map(lessons))
    readme = between(readme, "clone", clone_command())
    citation = (root / "CITATION.cff").read_text(encoding="utf-8")
    citation = re.sub(r"(?m)^repository-code:.*$", f'repository-code: "{fmt.github_url()}"', citation)
    citation = re.sub(r"(?m)^version:.*$", f"version: {fmt.project()['version']}", citation)
    pages = {root / "docs" / "CONCEPTS.md": concepts.page(lessons), root / launcher.PAGE: launcher.page(lessons)}
    notes = root / "docs" / "instructor" / "lessons.md"
    pages[notes] = with_minutes(notes.read_text(encoding="utf-8"), lessons)
    return {root / "README.md": readme, root / "CITATION.cff": citation} | pages


def stamp(root: Path = fmt.ROOT, check: bool = False) -> list[Path]:
    """Bring every stamped file up to date (or only look, with `check`). Returns the files that were out of date."""
    lessons = fmt.lessons(root / "notebooks")
    stale = []
    for lesson in [*lessons, *fmt.lessons(root / "notebooks" / "solutions")]:
        notebook = stamped_notebook(lesson)
        wanted, there = (
            [(fmt.source(cell), cell["metadata"]) for cell in cells] for cells in (notebook["cells"], lesson.cells)
        )
        if wanted != there:
            stale.append(lesson.path)
            if not check:
                fmt.save_notebook(lesson.path, notebook)
    for path, text in stamped_texts(root, lessons).items():
        if not path.exists() or text != path.read_text(encoding="utf-8"):
            stale.append(path)
            if not check:
                fmt.save_text(path, text)
    return stale


def main(arguments: list[str] | None = None) -> int:
    """Command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="make stamp", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when something is out of date")
    check = parser.parse_args(arguments).check
    stale = stamp(check=check)
    for path in stale:
        print(f"{'out of date (run `make stamp`)' if check else 'stamped'}: {path.relative_to(fmt.ROOT)}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
