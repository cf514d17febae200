"""The site of `make site`, opened from the file system in a real Chromium that is refused every other machine."""

import html
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from course_utils.serve import browser
from tools import lesson_format as fmt
from tools.site import make_site, title

pytestmark = pytest.mark.slow
LESSONS = fmt.lessons()
VOID = ("script", "img", "iframe", "source", "video", "audio", "object", "embed")  # what loads by itself


class Page(HTMLParser):
    """One file of the site: its anchors, links, pictures, and whatever a browser loads by itself."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.loads, self.images, self.formulas = [], [], [], [], 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values["href"]] if tag == "a" and "href" in values else []
        self.loads += [values[name] for name in ("src", "data", "srcset") if tag in VOID and name in values]
        self.loads += [values["href"]] if tag == "link" and "href" in values else []
        self.images += [values] if tag == "img" else []
        self.formulas += tag == "math"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "site"
    make_site(folder)
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


@pytest.fixture(scope="module")
def tab(site, chromium_here):
    """A tab; the module's last test fails when any page asked another machine for anything, or its scripts failed."""
    asked, troubles = [], []

    def failed(request):
        if request.failure != "net::ERR_ABORTED":  # that is a page left before it was all there
            troubles.append(f"{request.url}: {request.failure}")

    with browser.chromium(viewport={"width": 1300, "height": 900}) as context:
        context.route(re.compile("^(?!file:|data:|blob:)"), lambda route: route.abort())
        context.on("request", lambda request: asked.append(request.url))
        tab = context.pages[0]
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        tab.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        tab.on("requestfailed", failed)
        yield tab
    assert not [url for url in asked if not url.startswith((site.as_uri(), "data:", "blob:"))]
    assert not troubles


def file_of(link, page):
    """The file that a link on `page` names."""
    return (page.parent / unquote(urlsplit(link).path)).resolve() if urlsplit(link).path else page


def lesson_file(site, lesson):
    return site / "notebooks" / f"{lesson.slug}.html"


# --- the files ---
def test_every_link_and_anchor_is_there(site, pages):
    found = {page: set(content.ids) for page, content in pages.items()}
    broken, followed = [], 0
    for page, content in pages.items():
        for link in content.links:
            if urlsplit(link).scheme:
                continue
            target, anchor = file_of(link, page), unquote(urlsplit(link).fragment)
            followed += 1
            if not target.is_file() or (anchor and anchor not in found.get(target, ())):
                broken.append(f"{page.relative_to(site)}: {link}")
    assert not broken
    assert followed > 1000


def test_anchors_are_unique(site, pages):
    assert not [f"{page.name}: {name}" for page, c in pages.items() for name in set(c.ids) if c.ids.count(name) > 1]


def test_nothing_is_loaded_from_elsewhere(site, pages):
    for page, content in pages.items():
        for source in content.loads:
            assert not urlsplit(source).netloc, f"{page.name} loads {source}"
            assert source.startswith("data:") or file_of(source, page).is_file(), f"{page.name} lacks {source}"
    for sheet in site.rglob("*.css"):
        addresses = re.findall(r"(?:url\(|@import\s*)[\"']?([^\"')\s]+)", sheet.read_text(encoding="utf-8"))
        assert not [url for url in addresses if re.match(r"(https?:)?//", url)], sheet.name


def test_links_to_files_of_the_repository_lead_to_its_address(site, pages):
    address = f"{fmt.github_url()}/"
    links = {link for content in pages.values() for link in content.links if link.startswith(address)}
    assert f"{address}blob/{fmt.release_tag()}/LICENSE" in links
    for link in links:
        path = unquote(urlsplit(link.removeprefix(address)).path).split("/", 2)[2]
        assert (fmt.ROOT / path).exists(), link


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.slug)
def test_a_lesson_is_there_with_its_figures_in_words_and_its_cells(site, pages, lesson):
    content = pages[lesson_file(site, lesson)]
    figures = [
        cell["metadata"]["course"]["alt"]
        for cell in lesson.code
        for output in cell["outputs"]
        if "image/png" in output.get("data", {})
    ]
    assert sorted(image.get("alt", "") for image in content.images) == sorted(figures)
    assert {f"cell-{cell['id']}" for cell in lesson.code} <= set(content.ids)
    prose = "".join(re.sub(r"```.*?```|`[^`]*`", "", fmt.source(cell), flags=re.DOTALL) for cell in lesson.markdown)
    drawn = re.findall(r"<math.*?</math>", lesson_file(site, lesson).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert "\\" not in html.unescape("".join(drawn))
    assert content.formulas == len(re.findall(r"\$\$.+?\$\$|\$[^$]+\$", prose, flags=re.DOTALL))


def test_the_index_of_concepts_leads_to_cells(site, pages):
    if not (fmt.ROOT / "docs" / "CONCEPTS.md").exists():
        pytest.skip("this checkout has no docs/CONCEPTS.md")
    links = [link for link in pages[site / "docs" / "CONCEPTS.html"].links if "#cell-" in link]
    assert len(links) > 100


# --- in the browser ---
def test_next_walks_the_course_and_previous_walks_back(site, pages, tab):
    tab.goto((site / "index.html").as_uri())
    walked = [tab.url]
    assert not tab.locator(".related-pages a.prev-page").count()
    while tab.locator(".related-pages a.next-page").count():
        tab.click(".related-pages a.next-page")
        tab.wait_for_load_state()
        assert tab.url not in walked
        assert tab.locator(".related-pages a.prev-page").evaluate("link => link.href") == walked[-1]
        walked.append(tab.url)
        tab.wait_for_function("[...document.images].every((image) => image.complete)")
        assert not tab.evaluate("[...document.images].filter((image) => !image.naturalWidth).map((image) => image.src)")
    expected = [lesson_file(site, lesson).as_uri() for lesson in LESSONS]
    assert [url for url in walked if "/notebooks/" in url] == expected
    assert {Path(unquote(urlsplit(url).path)) for url in walked} == set(pages) - {site / "search.html"}
    tab.click(".related-pages a.prev-page")
    assert tab.url == walked[-2]


def test_the_front_page_is_the_map_of_the_course(site, tab):
    tab.goto((site / "index.html").as_uri())
    rows = tab.locator("article table tbody tr a").evaluate_all("links => links.map((a) => [a.textContent, a.href])")
    assert [text for text, _ in rows] == [title(lesson) for lesson in LESSONS]
    assert [href for _, href in rows] == [lesson_file(site, lesson).as_uri() for lesson in LESSONS]


def test_a_lesson_is_named_by_its_number_and_question(site, tab):
    tab.goto(lesson_file(site, LESSONS[0]).as_uri())
    assert tab.title().startswith(f"{LESSONS[0].slug[:2]} · {LESSONS[0].course['question']}")
    assert tab.locator("h1").count() == 1
    assert tab.locator(".sidebar-tree .current-page").inner_text().startswith(LESSONS[0].slug[:2])


def test_search_leads_to_a_lesson(site, tab):
    tab.goto((site / "index.html").as_uri())
    tab.fill(".sidebar-search", "calibration")
    tab.press(".sidebar-search", "Enter")
    tab.wait_for_selector("#search-results li")
    wanted = next(title(lesson) for lesson in LESSONS if lesson.slug == "12_evaluate")
    tab.locator("#search-results").get_by_role("link", name=wanted, exact=True).click()
    assert "12_evaluate.html" in tab.url
    assert "calibration" in tab.inner_text("article").lower()


def test_search_says_when_there_is_nothing(site, tab):
    tab.goto((site / "search.html").as_uri() + "?q=zxqyv")
    tab.wait_for_selector(".search-summary:has-text('did not match')")
    assert tab.locator("#search-results li").count() == 0


def test_dark_and_light(site, tab):
    page = lesson_file(site, LESSONS[0]).as_uri()
    ground = "getComputedStyle(document.body).backgroundColor"

    def brightness():
        return sum(map(int, re.findall(r"\d+", tab.evaluate(ground))[:3])) / 3

    for scheme, is_dark in (("dark", True), ("light", False)):  # as the system asks
        tab.emulate_media(color_scheme=scheme)
        tab.goto(page)
        assert (brightness() < 80) == is_dark
    seen = set()
    for _ in range(3):  # auto, light, dark, in a ring
        tab.locator(".theme-toggle:visible").first.click()
        seen.add(brightness() < 80)
        chosen = tab.evaluate("document.body.dataset.theme")
        tab.reload()
        assert tab.evaluate("document.body.dataset.theme") == chosen
    assert seen == {True, False}


def test_it_fits_a_phone(site, tab):
    tab.set_viewport_size({"width": 390, "height": 800})
    for name in ("index", "notebooks/02_explore_the_data", "notebooks/08_regularize", "docs/GLOSSARY"):
        tab.goto((site / f"{name}.html").as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    word = tab.locator("td p", has_text=re.compile("^환자$"))
    assert word.bounding_box()["height"] < 30  # its two letters stand on one line
    tab.set_viewport_size({"width": 1300, "height": 900})


def test_on_paper_no_line_of_code_is_cut(site, tab):
    tab.set_viewport_size({"width": 700, "height": 900})
    tab.emulate_media(media="print")
    tab.goto((site / "notebooks" / "05_baseline.html").as_uri())
    cut = "[...document.querySelectorAll('pre')].filter((pre) => pre.scrollWidth > pre.clientWidth + 1).length"
    assert tab.evaluate(cut) == 0
    tab.emulate_media(media="screen")
    tab.set_viewport_size({"width": 1300, "height": 900})
