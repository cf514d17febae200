"""Lessons once more on real scans, in the smoke profile; their numbers are other numbers, so nothing is compared.

One kernel runs them all. That each lesson runs in a fresh kernel is shown by its fast run. The part Deploy meets real
scans in its run as in Colab (tests/colab).
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.notebooks.one_kernel import one_kernel
from tools import lesson_format as fmt
from tools.prepare import prepare, real_scans, with_colab

LESSONS = [lesson for lesson in fmt.lessons() if not with_colab(lesson)]
pytestmark = [pytest.mark.slow, pytest.mark.minutes(3)]


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[..., None]]:
    """Runs a notebook in a kernel that stays."""
    if real_scans() is None:
        pytest.skip("no real scans here")
    with one_kernel(fmt.NOTEBOOKS) as run:
        yield run


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.slug)
def test_runs_on_real_scans(run: Callable[..., None], lesson: fmt.Lesson, tmp_path: Path) -> None:
    parameters = {"PROFILE": "smoke", "DATASET": str(real_scans()), "DEVICE": "cpu"}
    run(prepare(lesson, tmp_path, parameters, compare=False))
