"""Every lesson runs in an imitation of Colab: its versions, only the one file in an empty folder, smoke profile.

The part Deploy takes real scans where there are any, as the other lessons do in tests/notebooks/test_real_scans.py.
"""

import shutil
from importlib.metadata import distributions
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.utils import canonicalize_name

from tools import colab
from tools import lesson_format as fmt
from tools.execute import execute_all
from tools.prepare import real_scans, with_colab

pytestmark = [pytest.mark.slow, pytest.mark.minutes(9)]


class Machine(NamedTuple):
    """A machine of Colab's: its Python, the repository behind the address, and a folder for what lessons write."""

    python: Path
    remote: Path
    folder: Path


@pytest.fixture(scope="module")
def machine(package_index) -> Machine:
    """Fresh, with nothing but Colab's packages; the first lesson that runs here has to install what is missing."""
    with package_index():
        base = colab.make_environment(colab.BUILD / "venv")
    folder = colab.BUILD / "test"
    shutil.rmtree(folder, ignore_errors=True)
    return Machine(colab.make_layer(base, folder / "layer"), colab.make_remote(folder / "remote"), folder)


def test_what_the_first_cell_adds_fits_beside_what_colab_has(package_index, tmp_path: Path) -> None:
    with package_index():
        pins = colab.resolved(colab.PYTHON, colab.write_constraints(tmp_path / "constraints.txt"))
    there = colab.bounds()
    assert {name: pins[name] for name in pins.keys() & there} == {name: there[name] for name in pins.keys() & there}
    assert {"torch", "pandas", "ipywidgets", "optuna", "onnxruntime"} <= pins.keys()


@pytest.mark.parametrize("lesson", fmt.lessons(), ids=lambda lesson: lesson.slug)
def test_runs_from_its_one_file(machine: Machine, lesson: fmt.Lesson) -> None:
    scans = {"DATASET": str(real_scans())} if with_colab(lesson) and real_scans() else {}
    task = colab.lone_task(lesson.path, machine.python, machine.remote, machine.folder / lesson.slug, **scans)
    assert list(task.cwd.iterdir()) == [task.source]
    (outcome,) = execute_all([task], jobs=1)
    assert outcome.ok, f"{outcome.cell}: {outcome.error}\n{outcome.traceback}"
    clone = task.cwd / fmt.github_url().rsplit("/", 1)[1]
    assert list((clone / "runs").iterdir()), "the lesson kept its runs elsewhere, so its helper was not the clone's"
    added = {canonicalize_name(found.name) for found in distributions(path=[str(colab.site_packages(machine.python))])}
    assert {"optuna", "torchinfo"} <= added, "the first cell did not run on this machine"
    assert not added & colab.freeze().keys(), "the first cell replaced packages that Colab has"
    shutil.rmtree(task.cwd)
