"""Answers to the exercises, checked: `check("05.2", answer)`, `hint("05.2", 1)`, `solution("05.2")`.

`core` says how an answer is judged; `lesson_NN` holds the exercises of one lesson imported when one is asked for.
"""

from course_utils.exercises.core import (
    Exercise,
    NotTried,
    NotYet,
    Outcome,
    ask,
    check,
    choice,
    find,
    grade,
    hint,
    judge,
    lesson_module,
    lesson_numbers,
    listed,
    noted,
    number,
    solution,
)

__all__ = [
    "Exercise",
    "NotTried",
    "NotYet",
    "Outcome",
    "ask",
    "check",
    "choice",
    "find",
    "grade",
    "hint",
    "judge",
    "lesson_module",
    "lesson_numbers",
    "listed",
    "noted",
    "number",
    "solution",
]
