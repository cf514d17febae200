"""Every lesson keeps to the format: its cells, sections, metadata, pictures, sizes, links and spelling.

The rules are functions of one `Lesson`, so that the tests of the tools can hold a small made-up lesson against them.
"""

import ast
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest

from tools import lesson_format as fmt
from tools.lesson_format import Lesson, source, tags, text_of

LESSONS = fmt.lessons()
PARTS = ("Start", "Define", "Develop", "Deploy", "Capstones")
ALIASES = {"numpy": "np", "pandas": "pd", "matplotlib.pyplot": "plt", "seaborn": "sns", "torch.nn.functional": "F"}
FORBIDDEN_TAGS = {"raises-exception", "skip", "nbval-skip", "nbval-raises-exception", "injected-parameters"}
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)[^)]*\)")
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)[^)]*\)")
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(work|tmp|root|home|Users|private|var|mnt|opt|content)/|[A-Z]:\\\\?Users")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(params=LESSONS, ids=lambda lesson: lesson.slug)
def lesson(request: pytest.FixtureRequest) -> Lesson:
    """Each lesson of the course in turn."""
    return request.param


def test_is_a_valid_notebook_with_unique_ids(lesson: Lesson) -> None:
    notebook = nbformat.read(lesson.path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    ids = [cell["id"] for cell in notebook.cells]
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert len(ids) == len(set(ids)), "two cells have the same id"


def test_metadata_says_what_the_lesson_is(lesson: Lesson) -> None:
    course = lesson.course
    assert not set(fmt.COURSE_FIELDS) - set(course), "metadata.course lacks fields"
    assert course["part"] in PARTS
    assert course["question"].endswith("?")
    for field in ("minutes_teach", "minutes_practise", "minutes_cpu"):
        assert 0 < course[field] < 300, field


def test_sections_stand_in_order(lesson: Lesson) -> None:
    first = source(lesson.cells[0]).splitlines()[0]
    assert lesson.cells[0]["cell_type"] == "markdown" and first == f"# {lesson.course['question']}"
    assert fmt.headings(lesson, 1) == [lesson.course["question"]], "exactly one title"
    assert [name for name in fmt.headings(lesson, 2) if name in fmt.SECTIONS] == list(fmt.SECTIONS)
    assert fmt.headings(lesson, 2)[:2] == list(fmt.SECTIONS[:2]), "questions and setup come first"
    assert fmt.headings(lesson, 2)[-4:] == list(fmt.SECTIONS[2:]), "the last four sections close the lesson"


def test_setup_cells_are_there_once_and_in_order(lesson: Lesson) -> None:
    order = [
        tag for cell in lesson.cells for tag in tags(cell) if tag in ("badge", "bootstrap", "imports", "parameters")
    ]
    assert order == ["badge", "bootstrap", "imports", "parameters"]
    assert lesson.cells[1] in lesson.tagged("badge"), "the badge stands right under the title"
    assert not FORBIDDEN_TAGS & {tag for cell in lesson.cells for tag in tags(cell)}


def test_parameters_are_literals(lesson: Lesson) -> None:
    statements = ast.parse(source(lesson.tagged("parameters")[0])).body
    assert all(isinstance(statement, ast.Assign) for statement in statements), "assignments only"
    names = [statement.targets[0].id for statement in statements]
    values = {name: ast.literal_eval(statement.value) for name, statement in zip(names, statements)}
    assert tuple(names[:4]) == fmt.PARAMETERS
    assert (values["PROFILE"], values["DATASET"], values["DEVICE"]) == ("fast", "oct-phantom", "auto")


def test_imports_stand_in_one_cell_and_one_style(lesson: Lesson) -> None:
    for cell in lesson.code:
        found = [node for node in ast.walk(ast.parse(source(cell))) if isinstance(node, ast.Import | ast.ImportFrom)]
        if not {"imports", "bootstrap"} & set(tags(cell)):
            assert not found, f"cell {cell['id']} imports; imports stand in the cell tagged `imports`"
        for node in found:
            wrong = [name.name for name in node.names if not good_import(node, name)]
            assert not wrong, f"cell {cell['id']} imports {wrong} in another style than the course's"


def good_import(node: ast.Import | ast.ImportFrom, name: ast.alias) -> bool:
    """No stars, the usual aliases and no others, the helper package by `from`."""
    if isinstance(node, ast.ImportFrom):
        full = f"{node.module}.{name.name}"
        return name.name != "*" and node.level == 0 and name.asname in (None, ALIASES.get(full))
    return name.asname == ALIASES.get(name.name) and name.name.split(".")[0] != "course_utils"


def test_pictures_have_alt_text(lesson: Lesson) -> None:
    for cell in lesson.code:
        if fmt.has_image(cell):
            alt = cell["metadata"].get("course", {}).get("alt", "")
            assert len(alt) >= 30, f"cell {cell['id']}: metadata course.alt must say what the picture shows"
    for cell in lesson.markdown:
        for alt, _ in IMAGE.findall(source(cell)):
            assert len(alt) >= 10, f"cell {cell['id']}: a picture without alt text"
        assert "<img" not in source(cell), f"cell {cell['id']}: write ![alt](file), not <img>"


def test_has_the_right_size(lesson: Lesson) -> None:
    lengths = sorted(len(source(cell).splitlines()) for cell in lesson.code)
    ratio = len(lesson.markdown) / len(lesson.code)
    assert lesson.path.stat().st_size < 400_000
    assert 24 <= len(lesson.cells) <= 60, f"{len(lesson.cells)} cells"
    assert 0.8 <= ratio <= 1.8, f"{len(lesson.markdown)} markdown cells for {len(lesson.code)} code cells"
    assert sum(length <= 25 for length in lengths) >= 0.9 * len(lengths), f"long code cells: {lengths[-6:]}"


def test_outputs_are_those_of_one_clean_run(lesson: Lesson) -> None:
    counts = [cell["execution_count"] for cell in lesson.code]
    assert counts == list(range(1, len(counts) + 1)), "run `make refresh`"
    assert lesson.course.get("code") == fmt.code_fingerprint(lesson.code), "the code changed: run `make refresh`"
    assert lesson.notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert "widgets" not in lesson.notebook["metadata"]
    assert any(cell["outputs"] for cell in lesson.code)


def test_outputs_are_clean(lesson: Lesson) -> None:
    for cell in lesson.code:
        kept = {"tags", "course"} | ({"jupyter"} if "bootstrap" in tags(cell) else set())  # the first cell is folded
        assert not set(cell["metadata"]) - kept, f"cell {cell['id']}: left-over metadata"
        for output in cell["outputs"]:
            shown = text_of(output) + text_of(output, "text/html")
            assert output["output_type"] != "error", f"cell {cell['id']} ended in an error"
            assert output.get("name") != "stderr", f"cell {cell['id']} wrote to stderr"
            assert not MACHINE_PATH.search(shown), f"cell {cell['id']} shows a path of a machine"
            assert not any("widget" in mime for mime in output.get("data", {})), f"cell {cell['id']} shows a widget"


def test_something_is_compared(lesson: Lesson) -> None:
    checked = lesson.tagged("nbval-check-output")
    assert len(checked) >= 3, "at least three cells are tagged nbval-check-output"
    for cell in checked:
        assert cell["cell_type"] == "code" and cell["outputs"], f"cell {cell['id']} has no output to compare"


def test_internal_links_resolve(lesson: Lesson) -> None:
    prose = "\n".join(source(cell) for cell in lesson.markdown)
    targets = LINK.findall(prose) + [target for _, target in IMAGE.findall(prose)]
    for target in targets:
        if not re.match(r"https?://|mailto:|attachment:|#", target):
            assert (lesson.path.parent / target.split("#")[0]).exists(), f"broken link: {target}"


def test_it_leads_to_its_exercises_and_to_the_next_lesson(lesson: Lesson) -> None:
    exercises = next(source(cell) for cell in lesson.markdown if "## Exercises\n" in source(cell))
    assert f"(exercises/{lesson.path.name})" in exercises.partition("## Exercises\n")[2]
    following = [other.path.name for other in fmt.lessons() if other.slug > lesson.slug]
    assert not following or f"({following[0]})" in source(lesson.cells[-1])


def test_spelling(lesson: Lesson) -> None:
    comments = "\n".join(
        line for cell in lesson.code for line in source(cell).splitlines() if "#" in line or '"' in line
    )
    prose = "\n".join(source(cell) for cell in lesson.markdown)
    assert not misspelt(f"{prose}\n{comments}")


def test_spelling_of_the_documents() -> None:
    documents = [*fmt.ROOT.glob("*.md"), *(fmt.ROOT / "docs").rglob("*.md"), fmt.ROOT / "data" / "README.md"]
    assert not misspelt("\n".join(path.read_text(encoding="utf-8") for path in documents if path.exists()))


def misspelt(text: str) -> str:
    """What codespell finds in a text, as it prints it; empty when nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.md"
        path.write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "codespell_lib", str(path)]
        return subprocess.run(command, capture_output=True, text=True, cwd=fmt.ROOT).stdout
