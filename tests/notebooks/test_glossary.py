"""The glossary: every word once, with its Korean term and what it means here."""

import re

import pytest

from tools import lesson_format as fmt

HEAD = ["Word", "한국어", "Means here"]
KOREAN = re.compile(r"[가-힣]|`[^`]+`")  # a Korean term, or a name that Korean uses as it is


def glossary_rows(text: str) -> list[list[str]]:
    """The cells of every table row in a page, heads and rules left out; ValueError for a table with another head."""
    rows = []
    for before, line in zip(["", *text.splitlines()], text.splitlines()):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and not before.startswith("|") and cells != HEAD:
            raise ValueError(f"a table of the glossary has the head {cells}; it must be {HEAD}")
        if cells and cells != HEAD and not set(line) <= set("|-: "):
            rows.append(cells)
    return rows


def test_every_row_has_a_word_a_korean_term_and_a_meaning() -> None:
    rows = glossary_rows((fmt.ROOT / "docs" / "GLOSSARY.md").read_text(encoding="utf-8"))
    assert len(rows) > 150
    assert not [row for row in rows if len(row) != 3 or not all(row)], "want | word | 한국어 | meaning |"
    assert not [row[0] for row in rows if not KOREAN.search(row[1])], "rows without a Korean term"


def test_no_word_stands_twice() -> None:
    rows = glossary_rows((fmt.ROOT / "docs" / "GLOSSARY.md").read_text(encoding="utf-8"))
    words = [word.strip(" `").casefold() for row in rows for word in row[0].split(",")]
    assert not sorted({word for word in words if words.count(word) > 1})


def test_another_table_is_refused_and_a_missing_term_is_seen() -> None:
    with pytest.raises(ValueError, match="Means here"):
        glossary_rows("| Word | Means here |\n|---|---|\n| scan | one picture |\n")
    (row,) = glossary_rows("| Word | 한국어 | Means here |\n|---|---|---|\n| scan | picture | one a\\|b |\n")
    assert row == ["scan", "picture", "one a\\|b"] and not KOREAN.search(row[1])
