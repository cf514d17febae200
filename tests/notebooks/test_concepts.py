"""Every idea of the curriculum has its lesson, in it a cell that runs it, and a row in the index."""

import re
from pathlib import Path

import pytest

from tests.notebooks.small_lesson import small_lesson
from tools import lesson_format as fmt
from tools.concepts import IDEAS, page, places
from tools.lesson_format import Lesson


@pytest.mark.parametrize("lesson", fmt.lessons(), ids=lambda lesson: lesson.slug)
def test_each_idea_is_run_in_a_cell(lesson: Lesson) -> None:
    assert lesson.slug in IDEAS, "the lesson has no row in tools/concepts.py"
    assert lesson.course["concepts"] == list(IDEAS[lesson.slug])
    assert set(fmt.concept_tags(lesson)) == set(IDEAS[lesson.slug]), "tags `concept:ID` on code cells"


def test_every_lesson_of_the_table_exists() -> None:
    there = {lesson.slug for lesson in fmt.lessons()}
    assert not set(IDEAS) - there, "lessons of the curriculum are missing"


def test_no_id_stands_for_two_ideas_and_no_idea_is_empty() -> None:
    ids = [key for ideas in IDEAS.values() for key in ideas]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[A-Z][1-9]", key) for key in ids)
    said = [idea for ideas in IDEAS.values() for idea in ideas.values()]
    assert len(said) == len(set(said)) and all(10 < len(idea) <= 110 and "|" not in idea for idea in said)


def test_the_index_names_cells_that_are_there() -> None:
    text = (fmt.ROOT / "docs" / "CONCEPTS.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"(?ms)^## (\S+)\n(.*?)(?=^## |\Z)", text))
    assert list(sections) == list(IDEAS)
    for lesson in fmt.lessons():
        rows = dict(re.findall(r"(?m)^\| ([A-Z]\d) \| .* \| (.*) \|$", sections[lesson.slug]))
        assert list(rows) == list(IDEAS[lesson.slug]), lesson.slug
        assert f"(../notebooks/{lesson.path.name})" in sections[lesson.slug]
        for key, where in rows.items():
            shown = re.findall(r"`([^`]+)`", re.sub(r"\*[^*]+\*", "", where))
            tagged = [cell["id"] for cell in lesson.code if f"concept:{key}" in fmt.tags(cell)]
            assert sorted(shown) == sorted(tagged), (lesson.slug, key)


def test_a_place_is_the_nearest_heading_above_and_fences_do_not_count(tmp_path: Path) -> None:
    lesson = small_lesson(tmp_path, "00_start_here", "1", "2", "3")
    for number, cell in enumerate(lesson.cells[2:]):
        cell["metadata"]["tags"] = ["concept:S2"] if number == 0 else ["concept:S1"]
    prose = {
        "cell_type": "markdown",
        "id": "p",
        "metadata": {},
        "source": "## 1 One\n\n### Or | two\n```\n## no\n```\n",
    }
    lesson.cells.insert(3, prose)
    assert places(lesson) == {"S2": {"": ["body-0"]}, "S1": {"Or | two": ["body-1", "body-2"]}}
    assert "| S1 | A model is" in page([lesson]) and "*Or \\| two*: `body-1`, `body-2` |" in page([lesson])


def test_lessons_and_ideas_that_are_missing_are_said_to_be(tmp_path: Path) -> None:
    text = page([small_lesson(tmp_path, "00_start_here", "1")])
    assert text.count("not written yet") == len(IDEAS) - 1
    assert text.count("nowhere yet") == len(IDEAS["00_start_here"])
