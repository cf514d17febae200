"""How an answer is judged: an exercise, three outcomes, a sentence that helps, and a note in `runs/` of what is done.

A check gets the learner's answers as arguments and nothing else: it never looks into the notebook's variables.
"""

from __future__ import annotations

import ast
import importlib
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from course_utils.env import atomic_path, checkout_dir, runs_dir, to_json

KINDS = ("predict", "repair", "write", "decide")
Status = Literal["not tried", "not yet", "right"]
MARKS = {"not tried": "○", "not yet": "✗", "right": "✓"}
UNTRIED = "nothing to check yet: replace the dots above"
KEY = re.compile(r"(\d\d)\.(\d+)")


class NotTried(Exception):
    """The stub is still in place."""


class NotYet(Exception):
    """The answer is not right; the text says what to think about next, computed from the answer."""


@dataclass(frozen=True)
class Exercise:
    """One exercise. `judge(*answers)` returns a sentence that confirms, or raises NotYet with one that helps.

    `kind` is one of KINDS; `hints` go from a nudge to nearly the solution; `points` are what a class gets for it.
    """

    title: str
    kind: str
    judge: Callable[..., str]
    hints: tuple[str, ...]
    points: int = 1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"an exercise is one of {', '.join(KINDS)}, not {self.kind!r}")
        if len(self.hints) < 2:
            raise ValueError(f"the exercise {self.title!r} needs at least two hints")


class Outcome(NamedTuple):
    """What came of a check."""

    status: Status
    message: str


def lesson_module(number: str) -> Any:
    """The module of a lesson's exercises, `lesson_00` for "00". Raises ValueError when there is none."""
    try:
        return importlib.import_module(f"course_utils.exercises.lesson_{number}")
    except ModuleNotFoundError as error:
        if error.name != f"course_utils.exercises.lesson_{number}":
            raise
        raise ValueError(f"lesson {number!r} has no exercises; there are {', '.join(lesson_numbers())}") from None


def lesson_numbers() -> tuple[str, ...]:
    """The lessons that have exercises: "00", "01", …"""
    return tuple(sorted(path.stem[-2:] for path in Path(__file__).parent.glob("lesson_[0-9][0-9].py")))


def listed() -> dict[str, tuple[str, ...]]:
    """The keys of each lesson's exercises, by the lesson's name; read from the source, since judges load PyTorch."""
    there = {}
    for number in lesson_numbers():
        tree = ast.parse((Path(__file__).parent / f"lesson_{number}.py").read_text(encoding="utf-8"))
        named = {
            node.targets[0].id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        there[ast.literal_eval(named["LESSON"])] = tuple(map(ast.literal_eval, named["EXERCISES"].keys))
    return there


def find(key: str) -> Exercise:
    """The exercise of a key such as "05.2". Raises ValueError naming the keys there are."""
    shape = KEY.fullmatch(key) if isinstance(key, str) else None
    if shape is None:
        raise ValueError(f'an exercise is called by lesson and number, for example "05.2", not {key!r}')
    exercises = lesson_module(shape[1]).EXERCISES
    if key not in exercises:
        raise ValueError(f"there is no exercise {key}; lesson {shape[1]} has {', '.join(exercises)}")
    return exercises[key]


def judge(key: str, *answers: Any) -> Outcome:
    """Judge answers without a word and without a note."""
    exercise = find(key)
    if not answers:
        raise ValueError(f'check("{key}", …) needs your answer as an argument')
    if missing := sum(untouched(answer) for answer in answers):
        some = f"{missing} of the {len(answers)} answers still {'have' if missing > 1 else 'has'} its dots"
        return Outcome("not tried", UNTRIED if missing == len(answers) else some)
    try:
        return Outcome("right", exercise.judge(*answers))
    except NotTried as untried:
        return Outcome("not tried", str(untried) or UNTRIED)
    except NotYet as help:
        return Outcome("not yet", str(help))


def untouched(answer: Any) -> bool:
    """Whether an answer is still the stub: None, dots, or a collection of nothing but those."""
    if isinstance(answer, dict):
        answer = list(answer.values())
    if isinstance(answer, list | tuple) and answer:
        return all(untouched(part) for part in answer)
    return answer is None or answer is ...


def check(key: str, *answers: Any) -> None:
    """Judge the answers to an exercise, print one line that helps, and note the outcome in `runs/exercises`."""
    outcome = judge(key, *answers)
    print(f"{MARKS[outcome.status]} {key} {outcome.status}: {outcome.message}")
    if outcome.status != "not tried":
        _note(key, outcome.status)


def grade(key: str, *answers: Any) -> None:
    """For a class: raises AssertionError unless the answers are right, and notes nothing."""
    outcome = judge(key, *answers)
    if outcome.status != "right":
        raise AssertionError(f"{key} {outcome.status}: {outcome.message}")


def hint(key: str, number: int = 1) -> None:
    """Print a hint: 1 is a nudge, the last says nearly everything, the number after it is the solution; 0 is silent."""
    hints = find(key).hints
    if not 0 <= number <= len(hints) + 1:
        raise ValueError(f"exercise {key} has hints 1 to {len(hints)}, and its solution is {len(hints) + 1}")
    if number > len(hints):
        solution(key)
    elif number:
        print(f"Hint {number} of {len(hints)}: {hints[number - 1]}")


def solution(key: str) -> None:
    """Print the course's own solution, from the notebook in `notebooks/solutions`."""
    find(key)
    folder = (checkout_dir() or Path()) / "notebooks" / "solutions"
    source = next(folder.glob(f"{key[:2]}_*.ipynb"), None)
    if source is None:
        print(f"The solutions are not on this machine: see notebooks/solutions/{key[:2]}_….ipynb in the repository.")
        return
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    grade_id = f"answer-{key.replace('.', '-')}"  # nbgrader allows no dot
    wanted = next(cell for cell in cells if cell["metadata"].get("nbgrader", {}).get("grade_id") == grade_id)
    above, _, text = "".join(wanted["source"]).partition("### BEGIN SOLUTION\n")
    if "..." not in above:  # where names hold dots, the solution gives each of them anew
        text = above + text
    print("\n".join(line for line in text.splitlines() if "### " not in line))


# ── For the judges ───────────────────────────────────────────────────────────────────────────────────────────────────
def ask(function: Any, *arguments: Any) -> Any:
    """Call the learner's function. An untouched stub is NotTried; an exception is NotYet, in words."""
    if not callable(function):
        raise NotYet(
            f"a function was expected here, and this is {type(function).__name__}: pass its name, without brackets"
        )
    name = getattr(function, "__name__", "your function")
    try:
        answer = function(*arguments)
    except NotImplementedError:
        raise NotTried from None
    except Exception as error:  # the learner's code may raise anything, and should hear what
        raise NotYet(f"{name} raised {type(error).__name__}: {error}") from error
    if untouched(answer):
        raise NotTried(f"{name} returns nothing: put your lines in place of the dots, and end with `return`")
    return answer


def number(answer: Any, what: str = "your answer") -> float:
    """A finite number out of a Python, NumPy or PyTorch scalar; NotYet in words for anything else."""
    try:
        value = answer.item() if hasattr(answer, "item") else answer
    except (ValueError, RuntimeError):  # an array or a tensor of several numbers
        value = answer
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotYet(f"{what} should be one number, and is {type(answer).__name__}")
    if not math.isfinite(value):
        raise NotYet(f"{what} is {value}: look for a division by zero or a logarithm of zero")
    return float(value)


def choice(answer: Any, options: tuple[str, ...], what: str = "your answer") -> str:
    """One of the options offered; NotYet naming them otherwise."""
    if not isinstance(answer, str) or answer not in options:
        raise NotYet(f"{what} should be one of {', '.join(map(repr, options))}, and is {answer!r}")
    return answer


# ── What is done ─────────────────────────────────────────────────────────────────────────────────────────────────────
def _note(key: str, status: Status) -> None:
    """Remember the outcome in `runs/exercises`: once right, it stays right; tries are counted."""
    path = runs_dir() / "exercises" / f"{key}.json"
    before = noted().get(key, {"status": "not tried", "tries": 0})
    kept = "right" if before["status"] == "right" else status
    entry = {"key": key, "status": kept, "tries": before["tries"] + 1, "when": datetime.now(UTC).isoformat()}
    with atomic_path(path) as partial:
        partial.write_text(to_json(entry) + "\n", encoding="utf-8")


def noted() -> dict[str, dict]:
    """The noted outcome of every exercise that was tried on this machine; an unreadable note counts as none."""
    notes = {}
    for path in sorted((runs_dir() / "exercises").glob("[0-9]*.json")):
        try:
            entry = json.loads(path.read_text(encoding="utf-8"))
            notes[path.stem] = {"status": entry["status"], "tries": int(entry["tries"]), "when": entry["when"]}
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return notes
