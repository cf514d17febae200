"""Every lesson runs in an imitation of Colab: its versions, only the one file in an empty folder, smoke profile.

The first lesson has a fresh kernel, on a machine on which nothing of ours is installed. The others share a kernel,
since most of a smoke run is imports; it forgets all names and the helper between them, so each clones and imports its
own. The part Deploy takes real scans where there are any, as the others do in tests/notebooks/test_real_scans.py.
"""

import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.utils import canonicalize_name

from tests.notebooks.one_kernel import one_kernel
from tools import colab
from tools import lesson_format as fmt
from tools.execute import execute_all
from tools.prepare import prepare, real_scans, with_colab

pytestmark = [pytest.mark.slow, pytest.mark.minutes(6)]
FIRST, *OTHERS = fmt.lessons()
CLONE = fmt.github_url().rsplit("/", 1)[1]
MOVE = """
import os, sys
os.chdir({folder!r})
sys.path[:] = [path for path in sys.path if not path.endswith({clone!r})]
for name in [name for name in sys.modules if name.partition(".")[0] == "course_utils"]:
    del sys.modules[name]
"""


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


@pytest.fixture(scope="module")
def run(machine: Machine) -> Iterator[Callable[..., None]]:
    """Runs a notebook on that machine, in a kernel that stays."""
    with one_kernel(machine.folder, colab.environment(*machine)) as run:
        yield run


def assert_went_as_in_colab(machine: Machine, content: Path) -> None:
    """The helper was the clone's, and the first cell added packages without replacing any."""
    assert list((content / CLONE / "runs").iterdir()), "the lesson kept its runs elsewhere: not the clone's helper"
    added = {canonicalize_name(found.name) for found in distributions(path=[str(colab.site_packages(machine.python))])}
    assert {"optuna", "torchinfo"} <= added, "the first cell did not run on this machine"
    assert not added & colab.freeze().keys(), "the first cell replaced packages that Colab has"


def test_what_the_first_cell_adds_fits_beside_what_colab_has(package_index, tmp_path: Path) -> None:
    with package_index():
        pins = colab.resolved(colab.PYTHON, colab.write_constraints(tmp_path / "constraints.txt"))
    there = colab.bounds()
    assert {name: pins[name] for name in pins.keys() & there} == {name: there[name] for name in pins.keys() & there}
    assert {"torch", "pandas", "ipywidgets", "optuna", "onnxruntime"} <= pins.keys()


def test_the_first_lesson_runs_on_a_fresh_machine(machine: Machine) -> None:
    task = colab.lone_task(FIRST.path, machine.python, machine.remote, machine.folder / FIRST.slug)
    assert list(task.cwd.iterdir()) == [task.source]
    (outcome,) = execute_all([task], jobs=1)
    assert outcome.ok, f"{outcome.cell}: {outcome.error}\n{outcome.traceback}"
    assert_went_as_in_colab(machine, task.cwd)
    shutil.rmtree(task.cwd)


@pytest.mark.parametrize("lesson", OTHERS, ids=lambda lesson: lesson.slug)
def test_runs_from_its_one_file(machine: Machine, run, lesson: fmt.Lesson, tmp_path: Path) -> None:
    scans = {"DATASET": str(real_scans())} if with_colab(lesson) and real_scans() else {}
    copy = prepare(lesson, tmp_path, {"PROFILE": "smoke"} | scans, compare=False)
    content = colab.lone_copy(lesson.path, machine.folder / lesson.slug).parent
    assert [path.name for path in content.iterdir()] == [lesson.path.name]
    run(copy, MOVE.format(folder=str(content), clone=CLONE))
    assert_went_as_in_colab(machine, content)
    shutil.rmtree(content)
