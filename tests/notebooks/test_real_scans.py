"""Lessons once more on real scans, in the smoke profile; their numbers are other numbers, so nothing is compared.

One kernel runs them all, emptied between lessons: most of a smoke run is imports. That each lesson runs in a fresh
kernel is shown by its fast run and by its run as in Colab. The part Deploy meets real scans there (tests/colab).
"""

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tools import lesson_format as fmt
from tools.prepare import prepare, real_scans, with_colab

LESSONS = [lesson for lesson in fmt.lessons() if not with_colab(lesson)]
EMPTY = nbformat.v4.new_code_cell("%reset -f")
pytestmark = [pytest.mark.slow, pytest.mark.minutes(3)]


@pytest.fixture(scope="module")
def client() -> Iterator[NotebookClient]:
    """A running kernel and its client."""
    if real_scans() is None:
        pytest.skip("no real scans here")
    folder = {"metadata": {"path": str(fmt.NOTEBOOKS)}}
    client = NotebookClient(nbformat.v4.new_notebook(), timeout=None, kernel_name="python3", resources=folder)
    with client.setup_kernel():
        yield client


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.slug)
def test_runs_on_real_scans(client: NotebookClient, lesson: fmt.Lesson, tmp_path: Path) -> None:
    parameters = {"PROFILE": "smoke", "DATASET": str(real_scans()), "DEVICE": "cpu"}
    client.nb = nbformat.read(prepare(lesson, tmp_path, parameters, compare=False), as_version=4)
    client.nb.cells.insert(0, EMPTY)
    client.execute(cleanup_kc=False)
