"""How long each lesson takes in the fast profile, alone in its own process, and how much memory it holds at most.

    python -m benchmarks.lessons [05 12 …]

The runs folder is empty at the start, so every model a lesson needs is trained by the first lesson that needs it.
"""

import sys
import tempfile
from pathlib import Path

import pandas as pd

from tools import lesson_format as fmt
from tools.execute import Task, execute_all
from tools.run import chosen_lessons

BUDGETS = dict.fromkeys(("08", "10", "11", "20", "21", "22"), 150) | dict.fromkeys(("14", "15", "16"), 120)
USUAL = 90  # seconds, for the others
MEMORY_MB = 2000


def run(lessons: str = "") -> pd.DataFrame:
    """One row a lesson: seconds, their budget, peak memory (kernel and children, MB), whether it kept both."""
    with tempfile.TemporaryDirectory(prefix="bench-lessons-") as folder:
        place = Path(folder)
        tasks = [
            Task(
                lesson.path,
                place / f"{lesson.slug}.ipynb",
                {"PROFILE": "fast", "DEVICE": "cpu"},
                {"COURSE_RUNS": str(place / "runs")},
            )
            for lesson in chosen_lessons(lessons, fmt.lessons())
        ]
        outcomes = execute_all(tasks, jobs=1, on_start=lambda task: print(f"  {task.slug}", flush=True))
    table = pd.DataFrame(
        {
            "lesson": [outcome.slug for outcome in outcomes],
            "seconds": [outcome.seconds for outcome in outcomes],
            "budget_s": [BUDGETS.get(outcome.slug[:2], USUAL) for outcome in outcomes],
            "peak_MB": [outcome.peak_mb for outcome in outcomes],
            "ran": [outcome.ok for outcome in outcomes],
        }
    )
    table["within"] = table["ran"] & (table["seconds"] <= table["budget_s"]) & (table["peak_MB"] <= MEMORY_MB)
    return table


if __name__ == "__main__":
    print(run(" ".join(sys.argv[1:])).round(1).to_string(index=False))
