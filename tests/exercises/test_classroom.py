"""A class as nbgrader runs it: made from our sources, released, handed in right, wrong and empty, graded."""

import json
import os
import sys
from pathlib import Path

import pytest

from course_utils import exercises
from tests.exercises.wrong_00 import WRONG
from tools import classroom

NAME = "00_start_here"


def test_refuses_a_folder_that_holds_something(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert classroom.main([str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_asks_where_when_nothing_is_named(capsys: pytest.CaptureFixture) -> None:
    assert classroom.main([]) == 2
    assert "DIR=" in capsys.readouterr().err


def test_refuses_a_file(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "class").write_text("")
    assert classroom.main([str(tmp_path / "class")]) == 2
    assert "is a file" in capsys.readouterr().err


def test_refuses_a_place_below_a_file(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "class").write_text("")
    assert classroom.main([str(tmp_path / "class" / "autumn")]) == 2
    assert f"{tmp_path / 'class'} is a file" in capsys.readouterr().err


def test_says_what_to_type_next(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = tmp_path / "my class"
    assert classroom.main([str(folder)]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0].startswith("20 assignments in ") and f"nbgrader generate_assignment {NAME}" in lines
    if os.name != "nt":
        assert f"cd '{folder}'" in lines
    if any((Path(sys.executable).parent / name).exists() for name in ("activate", "Activate.ps1")):
        assert "activate" in lines[1].lower()


def test_an_assignment_does_not_show_the_graders_own_progress() -> None:
    for path in classroom.SOLUTIONS.glob("*.ipynb"):
        text = classroom.assignment(path)
        assert "progress()" not in text and "](../" not in text and '"grade_id": "answer-' in text


def hand_in(course: Path, student: str, answers: dict[str, str]) -> None:
    """Submit the released notebook with some cells replaced by a student's code."""
    notebook = json.loads((course / "release" / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id", "")
        if name in answers:
            cell["source"] = answers[name]
    place = course / "submitted" / student / NAME / f"{NAME}.ipynb"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(notebook), encoding="utf-8")


def solutions() -> dict[str, str]:
    """The course's answers, by the cells' names."""
    cells = json.loads((classroom.SOLUTIONS / f"{NAME}.ipynb").read_text(encoding="utf-8"))["cells"]
    named = {cell["metadata"].get("nbgrader", {}).get("grade_id", ""): "".join(cell["source"]) for cell in cells}
    return {name: text for name, text in named.items() if name.startswith("answer-")}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Object of type")  # nbgrader's own, of its database
def test_release_submit_autograde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbgrader.api import Gradebook
    from nbgrader.apps import NbGraderAPI
    from traitlets.config import Config

    course = tmp_path / "class"
    assert NAME in classroom.make_classroom(course)
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "own"))
    monkeypatch.setenv(
        "PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )  # nbgrader calls alembic
    monkeypatch.chdir(course)
    settings = Config()
    exec((course / "nbgrader_config.py").read_text(), {"get_config": lambda: settings})
    settings.CourseDirectory.root = str(course)
    api = NbGraderAPI(config=settings)
    assert api.generate_assignment(NAME)["success"]
    released = (course / "release" / NAME / f"{NAME}.ipynb").read_text()
    assert "BEGIN SOLUTION" not in released and "grade(" not in released

    right = solutions()
    hand_in(course, "right", right)
    hand_in(course, "half", right | {"answer-00-1": WRONG["00.1"][0], "answer-00-2": WRONG["00.2"][1]})
    hand_in(course, "empty", {})
    points = {key: exercise.points for key, exercise in exercises.lesson_module("00").EXERCISES.items()}
    marks = {}
    for student in ("right", "half", "empty"):
        graded = api.autograde(NAME, student)
        assert graded["success"], graded.get("log", "")[-2000:]
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        marks = {submission.student.id: submission.score for submission in book.assignment_submissions(NAME)}
    everything = sum(points.values())
    assert list((course / "runs").iterdir())
    assert not (tmp_path / "own").exists(), "what grading notes down went to the teacher's own progress"
    assert marks == {"right": everything, "half": everything - points["00.1"] - points["00.2"], "empty": 0}
