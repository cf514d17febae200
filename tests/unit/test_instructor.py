"""docs/instructor: a section for every lesson, its minutes, cells that exist, links that lead somewhere."""

import re
import subprocess
import sys
import tomllib

import pytest
import yaml

from tools import lesson_format as fmt
from tools.stamp import with_minutes

KIT = fmt.ROOT / "docs" / "instructor"
PAGES = sorted(KIT.glob("*.md"))
LESSONS = {lesson.slug: lesson for lesson in fmt.lessons()}
MINUTES = re.compile(r"^(\d+) minutes to teach, (\d+) to practise, ([\d.]+) to compute$", re.MULTILINE)
MINUTES_OF = "{minutes_teach} minutes to teach, {minutes_practise} to practise, {minutes_cpu} to compute"
PARTS = (
    "Afterwards they can",
    "Show live.",
    "When short, skip",
    "Usual questions",
    "Usual wrong answers",
    "Checkpoint.",
)
CELL = re.compile(r"`([a-z0-9]+(?:-[a-z0-9]+)*)`")  # other code has a space, a dot, a bracket or a capital in it
TARGET = re.compile(r"\]\(([^)\s]+)\)")


def exercises(number: str) -> list[str]:
    """The keys of a lesson's exercises, read from the source: importing the judges would import PyTorch."""
    text = (fmt.ROOT / "course_utils" / "exercises" / f"lesson_{number}.py").read_text(encoding="utf-8")
    return re.findall(rf'(?m)^ +"({number}\.\d+)": Exercise\(', text)


def sections() -> dict[str, str]:
    """The text of each lesson's section in lessons.md, by slug, in order."""
    found = re.split(r"(?m)^## (\S+)\n", (KIT / "lessons.md").read_text(encoding="utf-8"))
    return dict(zip(found[1::2], found[2::2], strict=True))


def test_every_lesson_has_its_section_in_the_order_of_the_course():
    assert list(sections()) == list(LESSONS)


@pytest.mark.parametrize("slug", LESSONS)
def test_a_section_agrees_with_its_lesson(slug):
    text, course = sections()[slug], LESSONS[slug].course
    assert f"[{course['question']}](../../notebooks/{slug}.ipynb)" in text
    minutes = tuple(f"{course[f'minutes_{what}']}" for what in ("teach", "practise", "cpu"))
    assert MINUTES.findall(text) == [minutes], "run `make stamp`"
    assert [part for part in PARTS if f"**{part}**" not in text] == []
    assert set(CELL.findall(text)) - {cell["id"] for cell in LESSONS[slug].code} == set()
    assert len(set(CELL.findall(text))) >= 4


@pytest.mark.parametrize("slug", LESSONS)
def test_a_section_speaks_of_each_exercise(slug):
    there = exercises(slug[:2])
    assert there and re.findall(r"(?m)^- (\d\d\.\d+):", sections()[slug]) == there


def test_the_first_page_counts_as_the_lessons_do():
    text = " ".join((KIT / "README.md").read_text(encoding="utf-8").split())
    courses = [lesson.course for lesson in LESSONS.values()]
    teach, practise = (
        round(sum(course[f"minutes_{what}"] for course in courses) / 60) for what in ("teach", "practise")
    )
    there = sum(len(exercises(slug[:2])) for slug in LESSONS)
    assert (
        f"{len(LESSONS)} lessons, {teach} hours of teaching and {practise} of practice, and {there} exercises" in text
    )


def test_minutes_are_stamped_under_their_own_heading():
    lesson = LESSONS["05_baseline"]
    head = "## {}\n\n[Why?](x)\n\nold to compute\n\nno time to compute\n\n"
    notes = head.format("05_baseline") + head.format("06_overfit")
    stamped = with_minutes(notes, [lesson])
    assert stamped == notes.replace("old to compute", MINUTES_OF.format(**lesson.course), 1)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8"))
    targets = [target for target in TARGET.findall(text) if not re.match(r"[a-z]+:|#", target)]
    assert targets and [target for target in targets if not (KIT / target.partition("#")[0]).exists()] == []
    assert [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|")] == []


def test_make_targets_that_the_pages_name_exist():
    targets = set(re.findall(r"(?m)^([a-z-]+):.*## ", (fmt.ROOT / "Makefile").read_text(encoding="utf-8")))
    named = {
        name for page in PAGES for name in re.findall(r"(?:`|^)make ([a-z][a-z-]*)", page.read_text(), re.MULTILINE)
    }
    assert named and named - targets == set()


def test_the_hub_image_copies_what_exists_and_never_runs_as_root():
    lines = (KIT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1] if word[0] != "-"]
    assert copied and [name for name in copied if not (fmt.ROOT / name).exists()] == []
    assert [line for line in lines if line.startswith("USER ")][-1] != "USER root"
    base = next(line for line in lines if line.startswith("FROM "))
    minor = re.search(r"python:3\.(\d+)\.\d+-", base)
    assert minor, f"the base image should be pinned: {base}"
    python = tomllib.loads((fmt.ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert python == ">=3.11,<3.14" and 11 <= int(minor[1]) < 14


def test_conda_and_binder_get_the_pinned_packages_and_the_course():
    environment = yaml.safe_load((fmt.ROOT / "environment.yml").read_text(encoding="utf-8"))
    *conda, pip = environment["dependencies"]
    assert re.fullmatch(r"python=3\.1[123]", conda[0]) and conda[1:] == ["pip"]
    assert pip == {"pip": ["-r requirements.txt", "-e ."]}
    assert f"conda activate {environment['name']}" in (KIT / "machines.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_what_conda_and_binder_install_fits_together(package_index):
    environment = yaml.safe_load((fmt.ROOT / "environment.yml").read_text(encoding="utf-8"))
    python = environment["dependencies"][0].removeprefix("python=")
    compile = [sys.executable, "-m", "uv", "pip", "compile", "-q", "--no-header", "--no-annotate"]
    with package_index():  # no conda here: what it adds to Python and pip is this file, and the course in this folder
        asked = [*compile, "--python-version", python, "requirements.txt", "pyproject.toml"]
        answer = subprocess.check_output(asked, cwd=fmt.ROOT, text=True)
    pinned = set(re.findall(r"(?m)^([\w.-]+==[^\s;]+)", (fmt.ROOT / "requirements.txt").read_text(encoding="utf-8")))
    assert pinned >= set(answer.split())
