"""`make site`: links resolved, code left alone, and one clear sentence when the site cannot be made."""

import pytest

from tools import lesson_format as fmt
from tools import site
from tools.site import SiteError, front_and_rest, lesson_page, make_site, page_text, resolved, with_cell_links

PAGES = {"docs/GLOSSARY.md", "notebooks/05_baseline.ipynb"}
BLOB = f"{fmt.github_url()}/blob/{fmt.release_tag()}"


@pytest.mark.parametrize(
    "target, page, expected",
    [
        ("https://example.org/a", "README.md", "https://example.org/a"),
        ("mailto:someone@example.org", "README.md", "mailto:someone@example.org"),
        ("#data", "docs/GLOSSARY.md", "#data"),
        ("../notebooks/05_baseline.ipynb#x", "docs/GLOSSARY.md", "../notebooks/05_baseline.ipynb#x"),
        ("docs/img/phantom_sheet.png", "README.md", "docs/img/phantom_sheet.png"),
        ("../README.md", "docs/GLOSSARY.md", "../index.md"),
        ("../README.md#the-course", "docs/first_hour.md", "../index.md#the-course"),
        ("../README.md#when-it-fails", "docs/first_hour.md", "../setup.md#when-it-fails"),
        ("LICENSE", "README.md", f"{BLOB}/LICENSE"),
        ("../course_utils/train.py#L3", "notebooks/05_baseline.ipynb", f"{BLOB}/course_utils/train.py#L3"),
        ("../course_utils", "docs/GLOSSARY.md", f"{BLOB.replace('blob', 'tree')}/course_utils"),
    ],
)
def test_where_links_lead(target, page, expected):
    assert resolved(target, page, PAGES) == expected


def test_a_link_to_nothing_stops_the_site():
    with pytest.raises(SiteError, match=r"docs/GLOSSARY\.md links to nowhere\.md, which is not there"):
        page_text("See [this](nowhere.md).", "docs/GLOSSARY.md", PAGES)


def test_code_is_left_alone_and_badges_become_words():
    code = "```python\nx = y[i](nowhere.md)\n```\n`z[i](nowhere.md)` "
    badge = fmt.badge_markdown("05_baseline")
    text = page_text(f"{code}[`LICENSE`](LICENSE) and `code` {badge}", "README.md", PAGES)
    assert text.startswith(f"{code}[`LICENSE`]({BLOB}/LICENSE) and `code` [Open in Colab](https://colab")
    assert "badge.svg" not in text


def test_names_of_lessons_become_links():
    text = page_text("`05_baseline`, [`05_baseline`](#x), `06_none`, `x05_baseline`", "docs/GLOSSARY.md", PAGES)
    link = "[`05_baseline`](../notebooks/05_baseline.ipynb)"
    assert text == f"{link}, [`05_baseline`](#x), `06_none`, `x05_baseline`"
    assert page_text("`05_baseline`", "notebooks/05_baseline.ipynb", PAGES) == "`05_baseline`"


def test_a_lesson_has_its_number_and_its_pictures_words():
    cells = [
        {"cell_type": "markdown", "id": "first", "source": "# How good?\n\nSee `06_none`.", "metadata": {}},
        {"cell_type": "code", "id": "draw", "source": "", "metadata": {"course": {"alt": "A line."}}, "outputs": []},
    ]
    lesson = fmt.Lesson(fmt.ROOT / "notebooks" / "05_baseline.ipynb")
    lesson.__dict__["notebook"] = {"metadata": {"course": {"question": "How good?"}}, "cells": cells}
    first, draw = lesson_page(lesson, PAGES)["cells"]
    assert first["source"] == "# 05 · How good?\n\nSee `06_none`."
    assert (draw["metadata"]["anchor"], draw["metadata"]["mystnb"]["image"]) == ("cell-draw", {"alt": "A line."})


def test_the_readme_becomes_two_pages():
    front, rest = front_and_rest("# T\n\nhello\n\n## Start\n\na\n\n## The course\n\nmap\n\n## More\n\nb\n")
    assert front == "# T\n\nhello\n\n## The course\n\nmap\n\n"
    assert rest == "# Set up and run\n\n## Start\n\na\n\n## More\n\nb\n"
    with pytest.raises(SiteError, match="no section '## The course'"):
        front_and_rest("# T\n\n## Start\n")


def test_cells_named_in_the_index_become_links(tmp_path):
    cells = [{"cell_type": "code", "id": name} for name in ("run", "run-more")]
    lesson = fmt.Lesson(tmp_path / "05_baseline.ipynb")
    lesson.__dict__["notebook"] = {"cells": cells}
    text = "# Index\n\n`run`\n\n## 05_baseline\n\n`run-more`, `run`, `other`\n\n## 06_overfit\n\n`run`\n"
    for page, folder in (("docs/CONCEPTS.md", "../notebooks"), ("docs/instructor/lessons.md", "../../notebooks")):
        link = f"[`{{0}}`]({folder}/05_baseline.ipynb#cell-{{0}})"
        expected = text.replace("`run-more`, `run`", f"{link.format('run-more')}, {link.format('run')}")
        assert with_cell_links(text, page, [lesson]) == expected


def test_a_missing_package_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(site, "NEEDS", ("sphinx", "no_such_package"))
    assert site.main(["--target", str(tmp_path / "site")]) == 1
    assert "the site needs no_such_package: run `make setup`" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


@pytest.mark.slow
def test_a_warning_of_sphinx_stops_the_site_and_keeps_the_old_one(monkeypatch, tmp_path):
    def two_pages(folder):
        folder.mkdir()
        (folder / "index.md").write_text("# Front\n\n[there](#nowhere-at-all) is $\\nosuchsign x$\n")
        return 1

    old = tmp_path / "site"
    old.mkdir()
    (old / "index.html").write_text("old")
    monkeypatch.setattr(site, "write_pages", two_pages)
    with pytest.raises(SiteError, match=r"(?s)Sphinx is not content.*nowhere-at-all.*\\nosuchsign, which nobody"):
        make_site(old)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["site"]
    assert (old / "index.html").read_text() == "old"
