"""What is done on this machine: lessons run, exercises tried and solved. `python -m course_utils.progress`.

Read from `runs/`: the experiment log says which lessons ran, `runs/exercises` what became of the exercises.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd

from course_utils import exercises
from course_utils.env import runs_dir

COLUMNS = ["lesson", "last run", "profile", "exercises right", "tried", "of"]


def lesson_runs() -> dict[str, dict[str, str]]:
    """For each lesson that left something in the experiment log: when it last ran, and in which profile."""
    newest: dict[str, dict[str, str]] = {}
    for path in Path(runs_dir() / "log").glob("*/*/[!.]*.json"):
        try:
            entry = json.loads(path.read_text(encoding="utf-8"))
            lesson, run = entry["lesson"], {"when": entry["created"], "profile": entry["profile"]}
        except (OSError, ValueError, KeyError, TypeError):
            continue  # half-written or foreign: the log itself warns of those
        if run["when"] > newest.get(lesson, {"when": ""})["when"]:
            newest[lesson] = run
    return newest


def progress() -> pd.DataFrame:
    """One row a lesson: the day and profile of its last run; how many exercises are right, were tried, are there."""
    runs, notes, rows = lesson_runs(), exercises.noted(), []
    for lesson, keys in exercises.listed().items():
        status = [notes[key]["status"] for key in keys if key in notes]
        run = runs.get(lesson, {"when": "", "profile": ""})
        counts = (status.count("right"), len(status), len(keys))
        rows.append((lesson, run["when"][:10], run["profile"], *counts))
    return pd.DataFrame(rows, columns=COLUMNS)


def main() -> int:
    """Print the table and one line that sums it up."""
    table = progress()
    print(table.to_string(index=False))
    ran, right, there = (table["last run"] != "").sum(), table["exercises right"].sum(), table["of"].sum()
    print(f"\n{ran} of {len(table)} lessons run, {right} of {there} exercises right (kept in {runs_dir().name}/)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
