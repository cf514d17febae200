"""Every exercise: its solution is right, its stub is not tried, and each plausible mistake gets help of its own.

The notebooks' cells run in this process, one namespace a notebook: no kernel is needed, since exercises stand alone.
`wrong_NN.py` holds the plausible mistakes: code that stands in for a solution cell.
"""

import ast
import contextlib
import importlib
import io
import re
from pathlib import Path

import pytest

from course_utils import exercises
from course_utils.exercises import core
from tools import lesson_format as fmt
from tools.lesson_format import Lesson, source, tags
from tools.student import STUB, stale_editions

NUMBERS = exercises.lesson_numbers()
LEAST = 2  # exercises a lesson, and wrong answers an exercise


@pytest.fixture(params=NUMBERS)
def number(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each lesson's number in turn, with a runs folder of its own."""
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path))
    return request.param


def notebook(number: str, edition: str) -> Lesson:
    """The exercises of a lesson: edition "solutions" or "exercises"."""
    slug = exercises.lesson_module(number).LESSON
    return Lesson(fmt.NOTEBOOKS / edition / f"{slug}.ipynb")


def key_of(cell: dict, role: str) -> str | None:
    """The exercise an answer or check cell belongs to: "00.1" from nbgrader's grade_id, "answer-00-1"."""
    found = re.fullmatch(rf"{role}-(\d\d)-(\d+)", cell["metadata"].get("nbgrader", {}).get("grade_id", ""))
    return f"{found[1]}.{found[2]}" if found else None


def run(lesson: Lesson, instead: dict[str, str] | None = None, until: str | None = None) -> tuple[dict, str]:
    """Execute the code cells in order; returns the namespace and what was printed. `instead`: code for answer cells."""
    space, printed = {"__name__": "__exercise__"}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        for cell in lesson.code:
            key = key_of(cell, "answer")
            exec(compile((instead or {}).get(key, source(cell)), f"{lesson.slug}:{cell['id']}", "exec"), space)
            if key is not None and key == until:
                break
    return space, printed.getvalue()


def outcome(lesson: Lesson, key: str, space: dict) -> core.Outcome:
    """What the check cell of `key` would say, given the namespace."""
    cell = next(cell for cell in lesson.code if key_of(cell, "check") == key)
    call = next(node for node in ast.walk(ast.parse(source(cell))) if isinstance(node, ast.Call))
    answers = [eval(compile(ast.Expression(argument), "check", "eval"), space) for argument in call.args[1:]]
    return core.judge(key, *answers)


def test_solutions_are_right(number: str) -> None:
    _, printed = run(notebook(number, "solutions"))
    right = re.findall(r"^✓ (\S+) right", printed, re.MULTILINE)
    assert right == list(exercises.lesson_module(number).EXERCISES), printed


def test_stubs_count_as_not_tried(number: str) -> None:
    _, printed = run(notebook(number, "exercises"))
    untried = re.findall(r"^○ (\S+) not tried", printed, re.MULTILINE)
    assert untried == list(exercises.lesson_module(number).EXERCISES), printed
    assert not exercises.noted(), "a stub was noted as a try"


def test_plausible_mistakes_get_help_of_their_own(number: str) -> None:
    lesson = notebook(number, "solutions")
    wrong = importlib.import_module(f"tests.exercises.wrong_{number}").WRONG
    assert list(wrong) == list(exercises.lesson_module(number).EXERCISES)
    for key, mistakes in wrong.items():
        outcomes = [outcome(lesson, key, run(lesson, {key: code}, until=key)[0]) for code in mistakes]
        helped = [said.message for said in outcomes]
        assert {said.status for said in outcomes} == {"not yet"}, f"{key}: {outcomes}"
        assert len(set(helped)) == len(helped) >= LEAST, f"{key} helps two mistakes alike: {helped}"
        assert all(20 <= len(message) <= 300 for message in helped), f"{key}: {helped}"


def test_notebook_and_module_agree(number: str) -> None:
    module, lesson = exercises.lesson_module(number), notebook(number, "solutions")
    assert module.LESSON[:2] == number and (fmt.NOTEBOOKS / f"{module.LESSON}.ipynb").exists()
    assert list(module.EXERCISES) == [f"{number}.{place + 1}" for place in range(len(module.EXERCISES))]
    assert len(module.EXERCISES) >= LEAST
    checks = {key_of(cell, "check"): cell["metadata"]["nbgrader"] for cell in lesson.code if key_of(cell, "check")}
    assert {key: check["points"] for key, check in checks.items()} == {
        key: exercise.points for key, exercise in module.EXERCISES.items()
    }
    for place, (key, exercise) in enumerate(module.EXERCISES.items(), start=1):
        heading = f"## Exercise {place} · {exercise.kind}"
        assert any(source(cell).startswith(heading) for cell in lesson.markdown), f"{key}: no heading {heading!r}"
        assert any(source(cell).startswith(f'hint("{key}", 0)') for cell in lesson.code), "help that shows nothing yet"


def test_checks_pass_their_arguments(number: str) -> None:
    """Checks see their arguments and nothing else: no module of exercises looks into a notebook's variables."""
    tree = ast.parse(Path(exercises.lesson_module(number).__file__).read_text(encoding="utf-8"))
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"globals", "eval", "exec", "get_ipython", "open", "__import__"}


def test_hints_and_solutions_can_be_seen(number: str, capsys: pytest.CaptureFixture) -> None:
    for key, exercise in exercises.lesson_module(number).EXERCISES.items():
        for place in range(1, len(exercise.hints) + 1):
            exercises.hint(key, place)
        exercises.solution(key)
        shown = capsys.readouterr().out
        assert all(text in shown for text in exercise.hints) and "SOLUTION" not in shown
        exercises.hint(key, len(exercise.hints) + 1)
        assert (answer := capsys.readouterr().out) and shown.endswith(answer), "the number after the last hint"
        exercises.hint(key, 0)
        assert capsys.readouterr().out == "", "as the cell stands, it says nothing"
        with pytest.raises(ValueError, match="hints 1 to"):
            exercises.hint(key, 99)


def test_an_answer_that_is_missing_among_others_is_named() -> None:
    assert exercises.judge("05.4", {"a": "open"}, ...) == ("not tried", "1 of the 2 answers still has its dots")


def test_the_student_edition_has_one_kind_of_dots(number: str) -> None:
    for cell in notebook(number, "exercises").code:
        if key_of(cell, "answer"):
            *above, last = source(cell).rstrip().splitlines()
            assert last != STUB or not any("..." in line for line in above), "dots above, and more below"


def test_setup_cells_are_the_stamped_ones(number: str) -> None:
    lesson = notebook(number, "solutions")
    texts = {tag: source(cell) for cell in lesson.cells for tag in tags(cell)}
    assert texts["badge"] == fmt.exercise_badge(lesson.slug)
    assert texts["bootstrap"] == fmt.bootstrap_source()
    assert not any(cell["outputs"] for cell in lesson.code)


def test_the_student_edition_is_in_step() -> None:
    assert not stale_editions(), "run `make student`"


def test_every_kind_of_exercise_is_there() -> None:
    kinds = {exercise.kind for number in NUMBERS for exercise in exercises.lesson_module(number).EXERCISES.values()}
    assert kinds == set(core.KINDS)


def test_the_list_read_from_the_source_is_what_the_modules_hold() -> None:
    modules = map(exercises.lesson_module, NUMBERS)
    assert exercises.listed() == {module.LESSON: tuple(module.EXERCISES) for module in modules}
