"""For every test: a runs folder of its own, a line that says whether real scans are here, the longest lessons first."""

import os
import tempfile
from pathlib import Path

import pytest

from tools.lesson_format import Lesson
from tools.prepare import FOLDER, status


def pytest_configure(config: pytest.Config) -> None:
    """Keep the tests out of the learner's runs/ (workers inherit what `make test` or the first process chose)."""
    if "COURSE_RUNS" not in os.environ:
        scratch = tempfile.TemporaryDirectory(prefix="course-runs-", ignore_cleanup_errors=True)
        os.environ["COURSE_RUNS"] = scratch.name
        config.add_cleanup(scratch.cleanup)
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_report_header() -> str:
    """What pytest says at the top: whether the lessons are run on real scans."""
    return status()


def _minutes(path: Path) -> float:
    """Measured minutes of a prepared lesson; a run on real scans in the smoke profile counts as a quarter."""
    return Lesson(path).course.get("minutes_cpu", 1) * (0.25 if path.parent.name == "real" else 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the lessons first, longest first, so that two workers end at about the same time."""
    files = {item.path for item in items if item.path.suffix == ".ipynb" and FOLDER in item.path.parents}
    minutes = {path: _minutes(path) for path in files}
    items.sort(key=lambda item: -minutes.get(item.path, 0.0))
