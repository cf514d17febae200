"""For every test: a runs folder of its own, a line that says whether real scans are here, the longest first."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes minutes first, longest first, so that two workers end at about the same time."""
    files = {item.path for item in items if item.path.suffix == ".ipynb" and FOLDER in item.path.parents}
    minutes = {path: Lesson(path).course.get("minutes_cpu", 1) for path in files}
    minutes |= {item.path: mark.args[0] for item in items if (mark := item.get_closest_marker("minutes"))}
    items.sort(key=lambda item: -minutes.get(item.path, 0.0))


@pytest.fixture(scope="session")
def package_index() -> Callable[[], AbstractContextManager[None]]:
    """`with package_index():` around what an installer has to fetch. Without a network the test is skipped.

    Except where CI_REQUIRES_PACKAGE_INDEX says that it may not be.
    """

    @contextmanager
    def reached() -> Iterator[None]:
        try:
            yield
        except subprocess.CalledProcessError as error:
            if os.environ.get("CI_REQUIRES_PACKAGE_INDEX"):
                raise
            pytest.skip(f"packages cannot be had here (no network?): {' '.join(map(str, error.cmd))}")

    return reached
