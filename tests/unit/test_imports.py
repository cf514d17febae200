"""The arrows between the modules run one way, and importing the package does nothing one could notice."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "course_utils"

# Which modules of ours each module may import. `env` is the floor: everybody may.
ARROWS = {
    "__init__": set(),
    "env": set(),
    "models": set(),
    "metrics": set(),
    "notes": set(),
    "plots": set(),
    "phantom": set(),
    "radar": set(),
    "tracking": set(),
    "regularize": set(),
    "objectives": set(),
    "ensembles": {"metrics"},
    "explain": set(),
    "scratch": set(),
    "data": {"phantom", "radar"},
    "train": {"metrics"},
    "regress": {"metrics", "train"},
    "pretrain": {"data", "metrics", "phantom", "train"},
    "artifacts": {"models"},
    "recipes": {"data", "models", "train", "metrics", "artifacts", "tracking"},
    "serve": {"artifacts", "data", "metrics", "phantom"},
    "scale": {"models"},
    "tune": {"data", "models", "train", "metrics"},
    "monitor": {"metrics"},
    "project": {"artifacts", "data", "metrics", "models", "recipes", "regress", "train"},
    "exercises": {"metrics", "phantom", "tracking"},
    "progress": {"exercises"},
}
FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    """The module a file belongs to: `data` for data/load.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The modules of ours that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 or path.parent != PACKAGE or node.module, f"{path}: from . import …"
            inside = path.relative_to(PACKAGE.parent).with_suffix("").parts[: -node.level] if node.level else ()
            base = ".".join([*inside, *filter(None, [node.module])])
            names = [base, *(f"{base}.{name.name}" for name in node.names)] if base == "course_utils" else [base]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("course_utils.")}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_run_down(path: Path) -> None:
    module = module_of(path)
    assert module in ARROWS, "a new module needs a row in the table above"
    assert imported(path) - {module, "env", "__version__"} <= ARROWS[module]


def test_the_arrows_have_no_circle() -> None:
    left = dict(ARROWS)
    while left:
        free = [module for module, needs in left.items() if not needs & set(left)]
        assert free, f"these import each other: {sorted(left)}"
        left = {module: needs for module, needs in left.items() if module not in free}


def run_python(code: str, folder: Path) -> subprocess.CompletedProcess:
    """Run a line of Python in a process of its own, in an empty folder, without variables of the course."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COURSE_")}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)


def test_importing_prints_writes_and_changes_nothing(tmp_path: Path) -> None:
    modules = ", ".join(f"course_utils.{name}" for name in sorted({module_of(path) for path in FILES} - {"__init__"}))
    code = (
        "import sklearn.metrics\n"  # where `rich` is installed, scikit-learn's import draws a number: not our doing
        "import os, random; state = random.getstate(); before = dict(os.environ)\n"
        f"import {modules}\n"
        "assert random.getstate() == state, 'the seed changed'\n"
        "changed = [name for name in os.environ if os.environ[name] != before.get(name)]\n"
        "assert not [name for name in changed if name.startswith(('COURSE', 'OMP', 'MPL', 'CUDA'))], changed"
    )
    done = run_python(code, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir()), "importing wrote a file"


def test_importing_the_package_is_light(tmp_path: Path) -> None:
    heavy = "[name for name in ('torch', 'numpy', 'pandas') if name in sys.modules]"
    done = run_python(f"import sys, course_utils, course_utils.env; print({heavy})", tmp_path)
    assert done.stdout.strip() == "[]"
