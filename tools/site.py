"""`make site`: the lessons with their stored outputs, and the course's documents, as pages for any browser.

Nothing is executed. The pages work from the file system and ask nothing of any other machine: no script, font, picture
or formula comes from elsewhere. Sphinx, MyST-NB and the theme Furo make them; docs/site/ has their settings.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from course_utils.env import atomic_path, file_lock
from tools import lesson_format as fmt
from tools.lesson_format import ROOT, Lesson
from tools.stamp import between, idea_range

SITE = ROOT / "build" / "site"
SETTINGS = ROOT / "docs" / "site"
NEEDS = ("sphinx", "myst_nb", "furo", "latex2mathml")
FRONT, REST = "The course", "Set up and run"  # the README's section on the front page; the page with its others
FIRST = ("docs/CONCEPTS.md", "docs/GLOSSARY.md", "data/README.md")  # of the documents; others of docs/ come between
NAME_CELLS = ("docs/CONCEPTS.md", "docs/instructor/lessons.md")  # under headings that are lessons' names
LAST = ("CONTRIBUTING.md", "docs/style.md", "CHANGELOG.md")
COLAB = re.compile(r"\[!\[Open in Colab\]\([^)]*\)\]")  # a picture from elsewhere
CODE = re.compile(r"(^```.*?^```|`[^`\n]*`)", re.DOTALL | re.MULTILINE)
TARGET = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
LESSON_NAME = re.compile(r"`(\d\d_\w+)`")
PICTURES = (".png", ".svg")
FOLDED = "Code that fetches the course in Colab; it does nothing on your own machine"


class SiteError(RuntimeError):
    """The site cannot be made; one sentence says why."""


def resolved(target: str, page: str, pages: set[str]) -> str:
    """Where a link of the file `page` leads on the site: to another page, or to the file at the repository's address.

    SiteError when the link names a file that is not there.
    """
    path, _, anchor = target.partition("#")
    if not path or re.match(r"[a-z]+:", target):
        return target
    file = os.path.normpath(os.path.join(os.path.dirname(page), path))
    if not (ROOT / file).exists():
        raise SiteError(f"{page} links to {target}, which is not there.")
    if file == "README.md":  # it becomes two pages
        part = "index.md" if anchor in ("", FRONT.lower().replace(" ", "-")) else "setup.md"
        return os.path.relpath(part, os.path.dirname(page) or ".") + f"#{anchor}" * bool(anchor)
    if file in pages or file.endswith(PICTURES):
        return target
    kind = "tree" if (ROOT / file).is_dir() else "blob"
    return f"{fmt.github_url()}/{kind}/{fmt.release_tag()}/{file}" + f"#{anchor}" * bool(anchor)


def page_text(text: str, page: str, pages: set[str]) -> str:
    """Markdown of the file `page` as the site needs it: no picture from elsewhere, links resolved, code untouched.

    A lesson's name, `05_baseline`, becomes a link to it.
    """
    pieces = CODE.split(COLAB.sub("[Open in Colab]", text))
    pieces[::2] = [TARGET.sub(lambda found: resolved(found[1], page, pages), piece) for piece in pieces[::2]]
    for at in range(1, len(pieces), 2):
        name = LESSON_NAME.fullmatch(pieces[at])
        if name and not pieces[at - 1].endswith("[") and (file := f"notebooks/{name[1]}.ipynb") in pages - {page}:
            pieces[at] = f"[{pieces[at]}]({os.path.relpath(file, os.path.dirname(page) or '.')})"
    return "".join(pieces)


def front_and_rest(readme: str) -> tuple[str, str]:
    """The README as two pages: its opening and the map of the course; then everything else."""
    opening, *sections = re.split(r"(?m)^(?=## )", readme)
    front = [section for section in sections if section.startswith(f"## {FRONT}\n")]
    if not front:
        raise SiteError(f"README.md has no section '## {FRONT}' for the front page.")
    rest = [section for section in sections if section not in front]
    return opening + front[0], f"# {REST}\n\n" + "".join(rest)


def title(lesson: Lesson) -> str:
    """What a lesson is called on the site; the number is how the others speak of it, and sorts what a search finds."""
    return f"{lesson.slug[:2]} · {lesson.course['question']}"


def course_map(lessons: list[Lesson]) -> str:
    """The table on the front page: a row a lesson, its question the link."""
    rows = ["| Part | Lesson | Runs in | Ideas |", "|---|---|---|---|"]
    for lesson in lessons:
        about = lesson.course
        link = f"[{title(lesson)}](notebooks/{lesson.slug}.ipynb)"
        facts = (about["part"], link, fmt.minutes_in_words(about["minutes_cpu"]), idea_range(about["concepts"]))
        rows.append(f"| {' | '.join(facts)} |")
    return "\n".join(rows)


def with_cell_links(text: str, page: str, lessons: list[Lesson]) -> str:
    """The text of the file `page` with the cells that it names under a lesson's heading as links to them."""
    sections = re.split(r"(?m)^(?=## )", text)
    folder = os.path.relpath("notebooks", os.path.dirname(page))
    by_heading = {f"## {lesson.slug}": lesson for lesson in lessons}
    for at, section in enumerate(sections):
        lesson = by_heading.get(section.partition("\n")[0])
        for name in [cell["id"] for cell in lesson.code] if lesson else []:
            link = f"[`{name}`]({folder}/{lesson.slug}.ipynb#cell-{name})"
            sections[at] = sections[at].replace(f"`{name}`", link)
    return "".join(sections)


def lesson_page(lesson: Lesson, pages: set[str]) -> dict:
    """The notebook as the site needs it: its number, alt texts where MyST-NB looks, an anchor a cell, set-up folded."""
    notebook, heading = lesson.notebook, f"# {lesson.course['question']}"
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            text = re.sub(f"^{re.escape(heading)}", lambda _: f"# {title(lesson)}", fmt.source(cell))
            cell["source"] = page_text(text, f"notebooks/{lesson.path.name}", pages)
        else:
            cell["metadata"]["anchor"] = f"cell-{cell['id']}"
            alt = cell["metadata"].get("course", {}).get("alt", "A figure of this lesson.")
            cell["metadata"]["mystnb"] = {"image": {"alt": alt}, "code_prompt_show": FOLDED, "code_prompt_hide": FOLDED}
        if "bootstrap" in fmt.tags(cell):
            cell["metadata"]["tags"].append("hide-input")
    return notebook


def contents(lessons: list[Lesson], documents: list[str]) -> str:
    """The order of all pages, for the side bar and for "next": set-up, the lessons by part, the documents."""
    entries = {"The course": [f"{REST} <setup>"]}
    for lesson in lessons:
        entries.setdefault(lesson.course["part"], []).append(f"notebooks/{lesson.slug}")
    entries["Reference"] = [document.removesuffix(".md") for document in documents]
    trees = [f"```{{toctree}}\n:hidden:\n:caption: {part}\n\n" + "\n".join(entries[part]) + "\n```" for part in entries]
    return "\n\n".join(trees) + "\n"


def document_files() -> list[str]:
    """The documents that become pages, in the order of the side bar."""
    found = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
    others = [name for name in found if name not in FIRST + LAST]
    return [name for name in (*FIRST, *others, *LAST) if (ROOT / name).exists()]


def write_pages(folder: Path) -> int:
    """Write what Sphinx reads into `folder`. Returns the number of pages."""
    lessons = fmt.lessons()
    documents = document_files()
    pages = {*documents, *(f"notebooks/{lesson.path.name}" for lesson in lessons)}
    readme = between((ROOT / "README.md").read_text(encoding="utf-8"), "course-map", course_map(lessons))
    readme = page_text(readme, "README.md", pages)
    front, rest = front_and_rest(readme)
    texts = {"index.md": f"{front}\n{contents(lessons, documents)}", "setup.md": rest}
    for name in documents:
        texts[name] = page_text((ROOT / name).read_text(encoding="utf-8"), name, pages)
    for name in set(NAME_CELLS) & set(texts):
        texts[name] = with_cell_links(texts[name], name, lessons)
    pictures = [path for path in (ROOT / "docs").rglob("*") if path.suffix in PICTURES]
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        fmt.save_text(folder / name, text)
    for path in pictures:
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    for lesson in lessons:
        (folder / "notebooks").mkdir(exist_ok=True)
        fmt.save_notebook(folder / "notebooks" / lesson.path.name, lesson_page(lesson, pages))
    return len(texts) + len(lessons)


def make_site(target: Path = SITE) -> int:
    """Make the site in `target`, whole or not at all; what was there is replaced. Returns the number of pages.

    SiteError when a package is missing, a link of a page leads nowhere, or Sphinx warns of anything.
    """
    if missing := [name for name in NEEDS if find_spec(name) is None]:
        raise SiteError(f"the site needs {', '.join(missing)}: run `make setup`, or pip install -e '.[site]'.")
    with file_lock(target.with_name(f".{target.name}.lock")), TemporaryDirectory() as scratch:
        count = write_pages(Path(scratch, "pages"))
        with atomic_path(target) as partial:
            command = [sys.executable, "-m", "sphinx", "-b", "html", "-q", "-E", "-W", "--keep-going"]
            folders = ["-c", SETTINGS, "-d", f"{scratch}/trees", f"{scratch}/pages", partial]
            done = subprocess.run([*command, *map(str, folders)], cwd=ROOT, capture_output=True, text=True)
            if done.returncode != 0:
                raise SiteError("Sphinx is not content:\n" + done.stderr.replace(f"{scratch}/pages/", ""))
            shutil.rmtree(target, ignore_errors=True)
    return count


def main(arguments: list[str] | None = None) -> int:
    """Command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="make site", description=__doc__.splitlines()[0])
    parser.add_argument("--target", type=Path, default=SITE, help="folder to make the site in (default: build/site)")
    target = parser.parse_args(arguments).target.resolve()
    try:
        count = make_site(target)
    except SiteError as error:
        print(f"make site: {error}", file=sys.stderr)
        return 1
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) / 1e6
    print(f"{count} pages, {size:.0f} MB, that need no network. Open this in a browser:")
    print(f"  {(target / 'index.html').as_uri()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
